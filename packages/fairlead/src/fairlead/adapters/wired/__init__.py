"""How one knows that a plugged port is wired: by OVN's word in the switch's database, by Neutron's, or not at all.

In comes a Vif that has been plugged; out comes the moment at which its packets pass, or an error that says what is not
running. It must never plug, mend or remove anything: it looks and waits, and who plugged decides what a failure means.
"""
