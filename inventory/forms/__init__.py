"""Forms of the stock acts and of one item's page, and the filters of the lists.

A stock act has a head (`acts`) and lines (`lines`: `LineForm`s in a `Lines` formset). `lines` finds out which product a line
means, and asks back where several fit. `levels` corrects one item on its own page; `lists` narrows what a list shows.
"""
