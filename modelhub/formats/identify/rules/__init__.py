"""The tables of rules, by what they tell apart."""
