"""One module per stage: `run(facts, clock, dry)` records what it finds.

With `dry` a stage does what needs no device. A package that is not there is `facts.miss`ed or
raised as `Missing`; a part that may fail alone is a `facts.part`.
"""
