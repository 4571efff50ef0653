"""Print on paper: words, lines, pages, signs, receipts, forms, tables and cards."""
