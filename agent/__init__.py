"""What acts on the user's text on their behalf, and never touches it directly.

Findings and a text come in; proposals are tried on a shadow copy, linted, and go out as edits together with what
was tried and why each was turned down. Knows nothing of the editor's protocol: whoever calls decides what to apply.
"""
