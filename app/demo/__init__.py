"""The agents of ``pygents serve --demo``. Of pygents they use ``pygents_core`` alone: copy one and start.

Nothing is imported here: an agent is served once its module is, and who looks into one module wants no other's.
"""
