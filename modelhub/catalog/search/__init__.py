"""The search language: `parser` (text to a tree), `fields` (what each field takes), `printer` (a
tree to text), `completions`; and `compiling` (a tree to a database query)."""
