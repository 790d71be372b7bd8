"""Files made of other files: readers of their tensors, a plan of what is kept, writers."""
