"""`flowcore top`: the live calls in a terminal. Only modules named ``…_screen`` import textual (extra ``top``)."""
