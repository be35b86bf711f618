"""The outside-in harness: real processes, real files, real signals. What the simulated world cannot show is shown here.

running    one `holdfast up`, started, asked, killed
load       a client in a process of its own, whose journal outlives the exchange
journal    that journal and the answers, read back and judged
evidence   what the files of stopped validators say: blocks, outcomes, signatures
kills      SIGKILL at seeded times under load
stepped    one validator on a real disk, driven block by block, the same every time
syscalls   SIGKILL, EIO and ENOSPC at each system call of the commit path
flips      flipped bits in the files of a stopped node
scenarios  validators paused, killed, cut off and emptied while clients trade

Verdicts are data: each run returns counts and violations, and prints its seed, so that it can be run again.
"""
