"""How alarms are answered: their signals, who is responsible, who is told next, and what is switched off.

Pure like all of ``rules``: ``react`` takes what was decided and gives the transitions that follow from it.
"""
