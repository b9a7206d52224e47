"""Where every artefact came from: stage files, receipts, and the audit that walks them.

A *stage file* states what a rule may depend on (settings and code); a *receipt* states what a job
read and wrote. Receipts name each other by hash, so the submission's receipt names everything that
made it.
"""
