"""Pictures and talk that are drawn from a seed, with their truth: what dataset.py calls a dataset.

ocr/ print on paper; gui/ phone screens; chart/ charts; text/ no pictures; scenes/ objects. Each file there shows one
kind of thing and lists its datasets in DATASETS; registry.py gathers them. What they draw with: page.py and letters.py
(print that knows where it is), faces.py (typefaces), themes.py (colours), distort.py (cameras), words.py, names.py and
locales.py (what is said), asking.py (questions).
"""
