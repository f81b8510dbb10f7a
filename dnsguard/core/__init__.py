"""The decision, and nothing else: values in, values out. This page is its theory of operation.

What it is for. A node whose resolv.conf names NodeLocalDNS alone is dead when that does not
answer, and a CoreDNS that starts with such a file forwards to itself and exits. So the file
names a real upstream until NodeLocalDNS is proven healthy, and again as soon as it is not.

What goes in. An *observation* (:mod:`.observation`): the file, the addresses, the answers, what
files and DHCP servers name; failures are part of it. The *memory* (:mod:`.memory`) of the look
before, and the operator's *policy* (:mod:`.policy`). Time is a number in the observation.

What comes out. The next memory, and what to do, as values that describe themselves
(:mod:`.plan`). Nothing here writes, asks, sleeps or logs; :mod:`dnsguard.guard` does.

Two steps, with the write between them:

1. :func:`.repair.repair`: what resolv.conf must say now.

   a. Learn (:mod:`.learn_answers`, :mod:`.learn`): who has answered what; whom somebody else's
      text names; what dhclient was told. Our own writing teaches nothing.
   b. Rank (:mod:`.eligibility`): everyone whom any source names, best source first, without
      those who can't be upstreams (:mod:`.exclusions`): cluster addresses, whoever answers
      for the cluster's own name (:mod:`.evidence`), stubs that lead there.
   c. Who serves the node (:mod:`.handover`): NodeLocalDNS, if nothing stands against it
      (:mod:`.blocker`); its health is :mod:`.health`'s. Silence clears nobody.
   d. Choose (:mod:`.choice`, :mod:`.upstreams`) and word it (:mod:`.rewrite`): the text is
      somebody else's, guarded. An empty file, one that is being written and one that is
      fought over (:mod:`.backoff`) are met later, never dropped.

2. :func:`.decide.follow_up`: what can wait. The file that pods get (:mod:`.pods_file`), what is
   remembered across reboots (:mod:`.remembered`; who has just answered counts in step 1), whom
   to ask next (:mod:`.probes`,
   :mod:`.dhcp_query`), what to tell, and the repair to lay ready for the same poison.

A poison that was met before, or differs from it in other lines only, is repaired before anything
is decided, from what follow_up laid ready (:func:`.rewrite.prepare_repair`): who is named decides
who is written, so that decision has been made. What the repair means is decided behind it.

The states and their changes are drawn in docs/states.md, which a test holds against this code.
"""
