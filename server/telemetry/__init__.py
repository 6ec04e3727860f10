"""Where the time of a question goes: one measurement feeds the log line, the histogram and the span alike.

Nothing here ever sees text of a question, a passage or an answer.
"""
