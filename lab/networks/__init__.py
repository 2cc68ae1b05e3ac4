"""Networks: the Elman network of the paper, any module, and scaled ones."""
