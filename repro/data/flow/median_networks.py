"""Networks of comparators that select the median of a window of 3 x 3 or 5 x 5 pixels.

A comparator (low wire, high wire) puts the smaller of two values on the first wire. Neighbouring windows share their
columns, so each column of 3 or 5 pixels is sorted once (SORT); the median is then selected from the sorted columns of
a window (SELECT). A test tries every zero-one input, which proves a network right for all numbers.
"""

# Wire size * r + c of SELECT is rank r of sorted column c. Comparators of a full network were dropped while the median
# stayed right for every zero-one input with sorted columns.
SORT = {3: ((0, 1), (1, 2), (0, 1)), 5: ((0, 1), (3, 4), (2, 4), (2, 3), (1, 4), (0, 3), (0, 2), (1, 3), (1, 2))}
SELECT5 = (
    (0, 3), (1, 4), (0, 2), (1, 3), (2, 4), (2, 3), (5, 8), (6, 9), (6, 8), (5, 6), (7, 9), (6, 7), (8, 9),
    (7, 8), (10, 13), (11, 14), (10, 12), (11, 13), (10, 11), (12, 14), (11, 12), (13, 14), (12, 13), (15, 18),
    (16, 19), (15, 17), (16, 18), (15, 16), (17, 19), (16, 17), (17, 18), (20, 23), (21, 24), (21, 23),
    (20, 21), (22, 24), (21, 22), (8, 16), (4, 3), (12, 15), (21, 20), (15, 9), (17, 3), (4, 11), (15, 17),
    (20, 16), (17, 20), (8, 7), (21, 15), (11, 7), (12, 21), (7, 15), (13, 17), (21, 7), (13, 15), (7, 13),
)  # fmt: skip
SELECT3 = ((0, 1), (1, 2), (3, 4), (4, 5), (3, 4), (7, 8), (6, 7), (2, 4), (4, 6), (2, 4))
SELECT = {3: (SELECT3, 4), 5: (SELECT5, 13)}  # comparators, wire of the median
