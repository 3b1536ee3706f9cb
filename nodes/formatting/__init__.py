"""Inverse text normalisation of English: numbers, amounts, dates, times and spelled words as they are written.

Words that can be read in two ways stay as they were spoken.
"""
