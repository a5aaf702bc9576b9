"""What works behind: wake-ups, backoff, setbacks, graces.

In come answers' times and failures of whatever is asked, out comes the moment at which to ask again. It must never know
what is asked for, or of whom: neither ports nor networks.
"""
