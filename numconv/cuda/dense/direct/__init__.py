"""One thread for each result, a loop over the terms of its stride phase.

for k in the phase's terms:      from the table, by one load; skipped outside the source
    sum += x · w                 both through the first cache
"""
