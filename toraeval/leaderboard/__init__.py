"""Results of several people: one folder checked, many merged and ranked, values written for model hubs."""
