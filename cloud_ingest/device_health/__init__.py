"""How devices age: what their own signals say of it, how long they will last, what is to be done and when."""
