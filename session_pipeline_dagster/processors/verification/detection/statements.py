"""Whether a sentence states a fact that will still hold tomorrow.

Put here what makes a statement, and what makes it a question, a request, a wish, a doubt, a fault
or a matter of the moment. What announces a fact is in `phrases.py`. English; sentences come in
lower case with plain quotes and dashes.
"""

import re

from session_pipeline_dagster.processors.verification.detection.patterns import (
    any_of,
    any_word,
    anywhere,
)
from session_pipeline_dagster.processors.verification.detection.phrases import MEANING, SET_AGAINST

# --- what a lasting fact is not ---

QUESTION = re.compile(
    any_of(r"""
    (?:what|why|how|where|which|who|whose|whom)\b(?! (?:we|people|matters|counts|is meant))
    when (?:is|are|was|were|do|does|did|can|could|will|should)\b
    (?:is|are|was|were|does|do|did|can|could|would|should|shall|will|has|have|had|isn't|aren't
        |doesn't|didn't|may|am|won't|couldn't|wouldn't|shouldn't) (?:i|you|we|it|that|this|these
        |those|they|there|he|she|the|an?|our|my|your|any|all|\w+ (?:the|an?|in|on|to))\b
    any idea|do you|i wonder|wondering|(?:i'm )?not sure\b|tell me|let me know|can someone
    curious
""")
)
DOUBT = anywhere(r"""
    \b(?:maybe|perhaps|probably|i guess|i suppose|i assume|not sure|unsure|no idea|i wonder
        |i thought|i believed|possibly|hopefully|i hope|dunno|who knows|let's see|apparently
        |presumably|or so|correct me|i don't know|if i'm wrong|not certain|i'd guess
        |i suspect)\b
    \b(?:might|may|could) (?:be|have been)\b(?! (?:reversed|changed|used|paid|cancelled
        |returned))|\b(?:seems?|looks?) (?:to|like|as|ok|right|wrong|good|fine|odd|strange
        |too)\b
    \bi (?:think|believe|feel)\b(?! (?:you|that's wrong|that's not))
""")
WISH = anywhere(r"""
    \bi(?:'d| would)? (?:rather|prefer|like|love|want|need|wish|hate|meant|mean|asked|expect
        |expected|suggest|propose|recommend)\b
    \bwe (?:want|need to|should maybe|should probably|should also|could|might|would like|'d like
        |have to (?:define|decide|fix|check|find|discuss)|still have to|ought)\b
    \b(?:it|that|this) would be\b|\bwould be (?:nice|good|great|better|cool)\b|\bi'd\b|\blet's\b
    \blet us\b|\bfeel free\b|\b(?:how|what) about\b|\bwhy not\b
    \b(?:can|could|would|will) (?:we|you|u)\b|\bneed you to\b|\bmake sure\b|\bbe sure to\b
    \btry to\b|\bmakes? it\b|\bas soon as you\b
    \byou (?:should|can|could|may|need to|have to|must)\b(?! (?:know|be aware|not)\b)|\bplease\b
    \bwhen you(?:'re| are) (?:done|finished|ready)\b
""")
MOMENT = anywhere(r"""
    \b(?:today|tomorrow|tonight|yesterday|right now|at the moment|for now|so far|again|(?:until
        |by|before|till) (?:mon|tues|wednes|thurs|fri|satur|sun)day\b(?! (?:night|at|of))
        |this (?:morning|afternoon|evening|week|time|session|run|branch|pr|commit|sprint)
        |next (?:week|sprint|time)|last (?:night|week|time|run|commit)|next month
        |the same (?:as before|error|problem|issue|result|thing)|as before|(?:a|one|two|five
        |ten) (?:minute|moment|second|hour)s? ago)\b
    \bjust (?:now|checked|did|tried|ran|pushed|saw|noticed|finished|deployed|merged|restarted
        |fixed|changed|got|had)\b
    \bstill (?:the same|not|fails?|failing|broken|wrong|doesn't|running|red|waiting|get|getting
        |see|seeing|shows?|there|missing|open|pending|empty)\b
    \b(?:is|are|was|were) (?:currently |now |all )?(?:down|red|green|broken|failing|flaky
        |running|done|ready|finished|stuck|back|gone|offline|fine|slow|up again|merged|pushed
        |fixed|empty|in progress|deployed|passing|not working)\b
    \b(?:keeps?|got|gets|started) (?:failing|crashing|stuck|timing out|hanging)\b
    \b(?:tests?|build|job|deploy|pipeline|script|command|page|query|app|it|that|this|migration
        |import|service|run|ci) (?:failed|fails|worked|works|passed|passes?|crashed|crashes
        |finished|timed out|hangs|broke)\b(?! (?:when|if|only|on|by|from|with|as|at|the|without
        |in)\b)
    \bout of office\b|\bon (?:vacation|holiday leave|sick leave)\b|\bin a meeting\b
    \bmeeting until\b
    \b(?:already|just|have|has|been) (?:been )?(?:did|done|pushed|merged|fixed|deployed
        |committed|sent|tried|opened|told|renamed|restarted)\b
""")
CONDITION = re.compile(r"\b(?:when|whenever|if|once|after|until|unless|because)\b[^,;]*")
FIRST_PERSON = re.compile(r"\b(?:i|i'm|i'll|i've|i'd|me|my|myself|we'll|we're going|let me)\b")
YOU = re.compile(r"\b(?:you|your|you're|you've|you'll|yours)\b")
POINTER = re.compile(r"^(?:see|cf\.?|look at|refer to|here is|here's|attached|check|read)\b")
VAGUE = re.compile(
    r"^(?:that|this|it|these|those|they|there|he|she|something|both"
    r"|(?:everything|nothing|anything)(?! (?:in|of|from|on|below|above|under|outside)\b))"
    r"(?:'s|'re|'ll|\s|$)"
)
WANTED = re.compile(
    r"^[^,;:]*\bshould\b"
    r"|^(?!(?:an?|every|each|all|any|no) \w+ (?!of\b))[^,;:]*\bneeds? (?:a|an|to|the|some)\b"
)
INVENTORY = re.compile(
    r"(?:we|there|it|they) (?:don't |doesn't |do not )?(?:have|has|is|are|isn't|aren't)\b"
)
DEMAND = re.compile(r"(?:it|this|that|they|these|those) (?:must|have to|has to|needs? to)\b")
AFTERTHOUGHT = re.compile(
    r",? (?:i'm afraid|i'm sorry|sorry|unfortunately|though|btw|by the way|mind you|you know)[.!]*$"
)
ACRONYM = re.compile(
    r"(?!(?:TODO|FYI|NOTE|ERROR|WARN|WARNING|INFO|FIXME|PS|NB|BTW|OK|HINT|TIP|IMPORTANT|URL|SQL|EDIT"
    r"|UPDATE)\b)[A-Z][A-Z0-9&/-]{1,7}s?\s?[:=]\s[A-Za-z]+ [A-Za-z]+"
)
OURS = re.compile(r"\b(?:our|we)\b")
FIRM = re.compile(r"\b(?:never|always|only|must|every|each|cannot|ever)\b")
PROBLEM = anywhere(r"""
    (?<!\bno )(?<!\bnot an )(?<!\bnot a )\b(?:missing|broken|errors?(?! (?:budget|rate|code
        |message|class|handling))|fails?|failed|failing
        |wrong|incorrect|misleading|bugs?|crash\w*|weird|strange|odd|hidden|slow|too \w+|exception
        stuck|ugly|annoying
        |confusing|not working|doesn't work|does not work|problem|issue|unreadable|blank|cut off
        |flaky|hangs?)\b
    \b(?:looks?|seems?|feels?|sounds?) \w+
""")
"""Speaks of what is wrong with a thing, or of what is wanted; without a sign that is no fact."""

# --- what makes a statement ---

_FINITE = any_word(
    """
    is are was were be isn't aren't wasn't weren't means mean has have had hasn't haven't
    must mustn't can can't cannot may should shouldn't shall will won't would need needs do
    does don't doesn't did stays stay stands lives live goes go comes come gets get belongs
    belong counts count runs run starts start ends end begins begin contains contain
    includes include excludes exclude follows follow depends depend uses use takes take
    keeps keep holds hold works work applies apply refers equals covers cover returns return
    stores store writes write reads read sends send fires fire happens happen expires expire
    resets reset rounds requires require allows allow supports support serves serve handles
    handle creates owns own consists consist decides decide becomes become remains remain
    lasts last costs cost pays pay bills bill ships ship closes close opens open matters
    matter turns turn reaches reach gives give says say sees see arrives arrive lands land
    makes make differs differ reject rejects triggers trigger waits wait retries retry
    represents represent measures measure defines define calls call treats treat tracks
    track maps map points point loads load refreshes rebuilds syncs sync charges charge
    renews renew rotates rotate drops drop skips skip ignores ignore overrides override
    inherits inherit receives receive generates publishes publish consumes consume accepts
    accept compares compare rolls purges purge archives archive deploys deploy lags lag
    aggregates reports tells shows sum sums add adds scale scales grow grows fall falls
    exist exists consist merge merges calculate calculates compute computes round assign
    assigns group groups sort sorts filter filters join joins replace replaces replicate
    replicates live belong hang hangs sit sits span spans vary varies change changes
    increase increases decrease decreases deduct deducts post posts book books reconcile
    reconciles settle settles approve approves sign signs trade trades move moves enter
    enters leave leaves carry carries bear bears produce produces emit emits poll polls push
    pushes pull pulls listen listens subscribe subscribes connect connects authenticate
    validate validates verify verifies encrypt encrypts hash hashes expose exposes hide
    hides host hosts cache caches index indexes scan scans process processes parse parses
    convert converts transform transforms export exports import imports link links reference
    references identify identifies indicate indicates denote denotes signal signals
    determine determines govern governs control controls limit limits exceed exceeds equal
    correspond corresponds relate relates overlap overlaps precede precedes cost default
    defaults assume assumes guarantee guarantees ensure ensures prevent prevents forbid
    forbids permit permits report tell picks pick chooses choose ranks rank
    lists rates wins win loses lose saves save fits fit beats expands
"""
)
FINITE = re.compile(
    rf"\b{_FINITE}\b|\w(?:'s|'re)\b|\S :?= \S"
    r"|\b(?:always|never|automatically|usually) [a-z]+s\b"
    r"|^(?:they|we|it|this) [a-z]{3,}"
)
NUMBER = re.compile(
    r"\d|\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|twelve|daily|weekly|monthly"
    r"|quarterly|yearly|hourly|nightly|percent|cents?)\b"
)
_VERBS = any_word(
    """
    add adjust align amend append apply archive ask assume attach avoid backfill bump build
    bring calculate call cancel catch change check choose clean clear click close collect
    combine comment commit compare compile complete compute configure confirm connect
    consider continue convert copy correct count create cut debug decide decrease define
    delete deploy describe disable discard display document don't dont do download draft
    drop dump edit enable ensure estimate evaluate execute expand explain explore export
    extend extract fetch figure fill filter find finish fix flip focus follow format forget
    generate get give go grep group handle have help hide highlight hold implement import
    improve include increase insert inspect install investigate join keep kill label leave
    limit link list load lock log look make mark measure mention merge migrate mock modify
    monitor move name never note notify number open optimize optimise order organize output
    pick ping pin place plan plot point post prepare prevent print profile proceed propose
    provide publish pull push put query quote raise read rebase rebuild recheck record redo
    reduce refactor refresh release reload remember remind remove rename render reorder
    repeat replace reply report request rerun reset resolve respond restart restore retry
    return revert review rewrite roll rotate round run save scan schedule search select send
    separate set share ship show shorten shrink simplify skip solve sort specify speed split
    squash stage start state stay stop store strip submit suggest summarize summarise switch
    swap sync tag take tell test think track translate treat trim trigger truncate try tune
    turn type undo uninstall unify update upgrade upload use validate verify view visit wait
    walk warn watch wire work wrap write zip
"""
)
IMPERATIVE = re.compile(
    rf"(?:(?:first|next|instead|finally|again|maybe|kindly|directly"
    r"|simply|rather|always|only|just|never),? )?"
    rf"{_VERBS}(?![\w-]|\.\w|/)"
)
DEPENDENT = re.compile(
    r"(?:they|it|this|these|those|that|nothing|otherwise|not|because|since|so that"
    r"|same for|which)\b"
)
"""A sentence that goes on with the one before."""
_PREDICATE = re.compile(
    r"(?:is|are|was|were|has|have|must|can|cannot|can't|will|isn't|aren't"
    r"|means?|works?|goes|go|does|doesn't|gets?|comes?|never|always)"
)


def holds(body: str, *, question: bool, strict: bool) -> bool:
    """Whether a sentence, or the rest of one, is a fact.

    Args:
        question: it ends with a question mark.
        strict: nothing announces it, so it has to be able to stand alone.
    """
    if not lasting(body, question=question) or (strict and YOU.search(body)):
        return False
    count = len(body.split())
    if count < 3 and not (count == 2 and NUMBER.search(body)):
        return False
    if not FINITE.search(body):
        if strict:
            return count > 3 and bool(FIRM.search(body))
        return bool(NUMBER.search(body) or SET_AGAINST.search(body))
    if strict and VAGUE.match(body):
        firm = (NUMBER, FIRM, SET_AGAINST)
        return count > 4 and any(pattern.search(body) for pattern in firm)
    return True


def lasting(body: str, *, question: bool) -> bool:
    """Whether nothing makes it a question, a request, a wish, a doubt or a matter of the moment."""
    if question or QUESTION.match(body) or POINTER.match(body) or is_request(body):
        return False
    if any(pattern.search(body) for pattern in (DOUBT, WISH, FIRST_PERSON)) or " wrong " in body:
        return False
    # What a term means does not pass, and a condition speaks of any moment.
    return bool(MEANING.search(body)) or not MOMENT.search(CONDITION.sub("", body))


def is_request(body: str) -> bool:
    """Whether it begins with a verb that asks for something; "list prices are" does not."""
    if not IMPERATIVE.match(body):
        return False
    rest = body.split()[1:4]
    return body.startswith("don't") or not any(_PREDICATE.fullmatch(word) for word in rest)


def asks(body: str, *, question: bool) -> bool:
    """Whether it wants something of the assistant: an answer or a deed."""
    return question or bool(QUESTION.match(body) or WISH.search(body)) or is_request(body)


def about_a_fault(body: str) -> bool:
    """Whether it tells what is wrong with a thing, or what is wanted of it."""
    return bool(PROBLEM.search(body) or WANTED.search(body))
