"""What is done with finished pictures: figures of their differences, grids, and their PNG text.

The PNG text needs the standard library alone; the rest needs Pillow and numpy, no torch.
"""
