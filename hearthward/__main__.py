"""``python -m hearthward``: the command, where its script is not on the path."""

from hearthward.app.cli import main

main()
