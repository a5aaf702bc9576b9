"""What looks at the house from outside: its picture, and how much of it the tests reach."""
