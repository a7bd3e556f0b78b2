"""The phrases that the rules go by, in groups of what they say. English.

Lists only; how they are put together is in `rules.py`. Every line of a list holds alternatives,
regular expressions, matched against a sentence in lower case with plain quotes and dashes.
"""

import re

from session_pipeline_dagster.processors.verification.detection.patterns import any_of, anywhere

# --- what opens a sentence and says nothing by itself ---

_FILLER = any_of(r"""
    o?k(?:ay)?|great|good|nice|cool|perfect|thanks(?: a lot)?|thank you|thx|sure|please|pls
    cheers
    now|then|and|but|also|so|well|hm+|a+h+|oh+|uh|um+|er+m?|just|wait|sorry|hi|hey|hello
    alright|fine|understood|got it|i see|haha?|interesting|btw|by the way|however|anyway
    honestly
    (?:great|good|nice) (?:work|job|catch|point)|well done|looks good|lgtm|please do|go ahead
    hold on|hang on|one moment|look|listen|guys|actually(?=,)|as (?:i |we )?(?:said|mentioned
        |discussed|agreed|explained)(?: before| earlier| above)?
    i'm afraid|i'm sorry|to be (?:fair|honest|precise|exact|clear)|(?:small|one more|quick|side
        |one) (?:thing|note)
""")
LEAD_IN = re.compile(rf"(?:{_FILLER}\b[\s,.:!-]*)+")

# --- correction ---

_PRONOUN = (
    r"(?:that|this|it|these|those|they|which|your \w+|the \w+(?: \w+)?|what you (?:say|said|wrote))"
)
_FULLY = r"(?: (?:actually|really|just|quite|simply|completely|totally|entirely|exactly))*"
_UP_TO = r"[^,.:;!]{0,40}"
_NOT_RIGHT = rf"(?:right|correct|true|accurate|valid|the case|(?:how|what|where|when) {_UP_TO})"
_BAD = any_of(rf"""
    (?:the )?wrong(?: \w+)?|incorrect|false|mistaken|outdated|obsolete|out of date|inaccurate
    misleading|stale|nonsense|backwards|inverted|reversed|upside down|off by {_UP_TO}
    an? (?:common )?(?:error|mistake|misunderstanding|misconception|myth|mix-up)
""")
_PLAIN_NO = any_of(r"""
    no(?=[,.:;!-]|\s-|$)
    no(?= (?:its?|it's|that|that's|this|they|we|the|our|no|nope|actually|you|there|these|those
        |i)\b)
    no(?= (?:an?|sorry|sir|\w+ (?:is|are|means|was|were|comes?|goes|go|has|have)) )
    not (?!now|yet|sure|needed|bad|really|today|me|you|a problem
        |the point)(?:the |an? |by |in |on |from |at )?[\w./-]+(?: [\w./-]+)?(?=, )
    (?:only )?(?:half|partly|partially|mostly|nearly|almost) (?:right|correct|true)
    (?:that|this|it)(?: does not|doesn't) (?:hold|apply|match|fit|work (?:like that|that way
        |this way))(?: here)?
    there(?:'s| is) (?:an? )?(?:\w+ )?(?:mistake|error|misunderstanding
        |mix-up)(?: \w+){0,4}(?=[,.:;!-])
    (?:it|that|they|this|we) used to(?: be)?(?=[,.;:-])
    (?:not|only) (?:since|until) [\w.]+(?=[,.;:-])
    nope|nah|no way|not at all|(?:certainly|definitely|absolutely) not|on the contrary
    not (?:quite|exactly|really|right|correct|true|so|entirely|precisely|necessarily|any ?more)
    i (?:don't|do not) think so|i disagree|disagreed?|i doubt (?:it|that)
    (?:it's |exactly |just |quite )*(?:the )?other way a?round|(?:quite |just )?the opposite
    (?:they|it|we|you) (?:do|does|are|is|ca|wo|should)(?:n't|nnot| not)(?: be)?(?=[,.:;!-])
    (?:they|it|we|you) can(?:'t|not)(?=[,.:;!-])
""")
_NO_BEFORE_A_STOP = any_of(r"""
    wrong|incorrect|false|negative|close(?: enough)?|almost|nearly|careful|backwards|objection
    (?:small |minor |one |quick |slight |little )*correction|not so fast
    (?:the )?(?:wrong|not the right) \w+(?: \w+)?|not (?:any ?more|the case)
""")
_YOURS = any_of(rf"""
    you (?:have |had |'ve )?(?:mixed|misread|misunderstood|confused?|swapped|reversed){_UP_TO}
    you (?:have |had |'ve )?got {_UP_TO}(?:wrong|backwards|reversed|mixed up|upside down)
    you(?:'re| are) (?:confusing|mixing|thinking of|mistaken|wrong){_UP_TO}
    you(?:'re| are) (?:looking at|reading|using|on) (?:the |an? )?(?:old|wrong|outdated){_UP_TO}
    i (?:have|need|must|want) to correct (?:you|that|this)(?: here| there)?
    let me correct {_UP_TO}
    (?:don't|do not|never) \w+ [^,.;:!]{{1,40}}(?=[,;:]|\s-)
    your (?:\w+ )?(?:numbers?|assumptions?|understanding|reading|memory|info(?:rmation)?|data
        |premise|conclusion|definition|mapping|formula) (?:is|are|was|were) {_BAD}
""")
_HEDGE = r"(?:i'm afraid |i think |i believe |actually,? |unfortunately,? |sorry,? |but )*"
DENIAL = re.compile(
    rf"{_HEDGE}(?:{_PLAIN_NO}|{_NO_BEFORE_A_STOP}(?=[,.:;!-]|\s-|$)|{_YOURS}"
    rf"|{_PRONOUN}(?:'s|'re| is| are| was| were){_FULLY} {_BAD}"
    rf"|(?:that|this|it) (?:looks|seems){_FULLY} {_BAD}"
    rf"|{_PRONOUN}(?:(?:'s|'re| is| are| was| were) not| isn't| aren't| wasn't){_FULLY}"
    rf" {_NOT_RIGHT}"
    r")(?=[\s,.:;!-]|$)"
)
"""Opens a correction; what follows has to say what is true."""

TURNED = anywhere(r"""
    \b(?:it|that|this)(?:'s| is) actually\b|\b(?:is|are) actually\b|\bin fact\b|\bin reality\b
    \bactually[.!]?$|\btwo different (?:things|concepts|numbers|terms|tables)\b
    ^actually\b(?! (?:can|could|would|please|let's|never|i|you|no\b|yes\b|just))
    \bactually,? (?:it's|it|the|we|our|they|only|all|each|every|there)\b
    \b(?:the )?(?:correct|right|proper|real|actual) (?:\w+ )?(?:is|are
        |would be)\b(?! (?:\w+ )?\?)
    \bas a matter of fact\b|\bthe truth is\b|\bcontrary to\b|\bshould (?:have been
        |be) \S+(?: \S+)?,? (?:not|instead of)\b
""")
"""Says that something is otherwise than was said."""

SET_AGAINST = anywhere(r"""
    [,;(-]\s*(?:and )?(?:definitely )?(?:not|never|no longer) \w+
    \bnot \w[^,.;]{0,60},? but \w|\binstead of\b|\brather than\b|\bas opposed to\b
    \b(?:only|never) \w[^.;]{3,80}, (?:only|not|never)?
    \bused to be\b.{1,60}\bnow\b|\bno longer\b|\b(?:not|n't) .{1,40}\bany ?more\b
    \bdifferent (?:from|than)\b|\b(?:is|are) not the same\b
""")
"""The fact sets itself against another: "X, not Y"."""

NARROWING = anywhere(r"""
    \b(?:is|are) no\b|\b(?:is|are|does|do|was|were)(?: not|n't)\b|\b(?:only|never|must|always
        |cannot)\b
    \b(?:excludes?|excluding|without|minus|except|deprecated|no longer|plus|since)\b|\d
""")
"""The fact draws a line; enough for a correction of what the assistant has just claimed."""

# --- confirmation ---

_PLAIN_YES = any_of(r"""
    yes|yep|yup|yeah|yea|aye|exactly|precisely|indeed|absolutely|definitely|affirmative
    certainly
    (?:that|this|it)(?:'s| is) (?:exactly |absolutely |quite )?(?:right|correct|true|it)
    you(?:'re| are) (?:absolutely |completely |quite )?(?:right|correct|spot on|not mistaken
        |not wrong)
    that matches(?: what (?:i|we) \w+)?(?=[,.:;!-])|that(?:'s| is) (?:also )?(?:my
        |our) understanding
    i (?:can )?confirm(?: that| this)?|can confirm|exactly (?:right|that|so|this)|quite right
    that(?:'s| is) (?:exactly )?(?:how|what) (?:it|we|they|i)\b(?: \w+)?(?: \w+)?(?=[,.:;!-]
        |\s-)
    (?:it|that|they|this|we) (?:is|are|does|do|was|has|have|can|will|must)(?=[,.!;:]|\s-)
    as you (?:say|said|wrote|describe[d]?)|good catch|spot on|makes sense|you (?:got
        |understood) it
""")
_YES_BEFORE_A_STOP = any_of(r"""
    correct|right|true|agreed|confirmed|of course|totally|bingo|sure|matches
    that matches(?: \w+)*
    sounds right|correct understanding|fully correct|100 ?%|good understanding|right on
    very true
""")
ASSENT = re.compile(
    rf"(?:(?:{_PLAIN_YES}\b|{_YES_BEFORE_A_STOP}(?=[,.:;!-]|\s-|$))[\s,.:;!-]*)+(?=\S|$)"
)
"""Opens a confirmation; what follows has to repeat the fact."""

# --- unprompted definition ---

_DEFINING = r"""
    for (?:your |future |general )?(?:reference|context|background|clarity|clarification)\b
    for (?:your )?info(?:rmation)?\b|for the record\b|f\.?y\.?i\b\.?
    (?:just )?so (?:that )?you(?:'re aware| know| are aware)\b
    just (?:fyi|for info(?:rmation)?|as background|to be clear)\b|(?:as|some
        |a bit of) (?:background|context)\b
    (?:please )?(?:note|be aware|keep in mind|bear in mind|mind|remember|don't forget
        |do not forget)(?: that\b|\s?:|,)
    (?:please )?(?:note|keep in mind|bear in mind|remember)(?= (?:the|our|we|all|every|each|any
        |an?)\b)
    heads[ -]up\b|good to know\b|worth (?:knowing|noting|mentioning)(?: that)?\b
    you should know(?: that)?\b
    (?:one|another|the) (?:\w+ )?thing (?:you should|to
        |worth) \w+(?: about \w+(?: \w+)?)?(?=[:,-]|\s-)
    (?:important|background(?: info(?:rmation)?)?|context|info|information|definition
        |glossary|convention|house rule
        |rule|policy|terminology|company policy|team (?:rule|convention|policy)|rule of thumb
        |reminder|note|naming)\s?(?=:|\s-)
    by (?:convention|definition|design|policy|company policy)\b|as a (?:general )?(?:rule
        |convention|principle)\b|as a matter of (?:policy|principle)\b
    (?:as )?per (?:our |company )*(?:policy|convention|contract|agreement)\b
    (?:just )?(?:an? |one |another )?(?:important |quick |small |side |final |last )?(?:note
        |reminder|remark|info|hint|clarification|caveat|gotcha|warning|detail)(?: on [\w ]{1,20}
        | for you
        | for the future| for later)?\s?(?=:|,|\s-)
    (?:just )?to (?:clarify|be clear|clear this up)\b|to give you (?:some |a bit of )?(?:context
        |background)\b|(?:let me give you )?some (?:context|background)(?: first)?(?=[:,])
    (?:what )?you (?:need|have|ought) to know(?: is)?(?: that)?\b|what you (?:can't|cannot|don't
        |could not|couldn't) know(?: is)?(?: that)?\b
    according to (?:our|the|company) (?:\w+ )?(?:policy|convention|contract|handbook|guidelines?
        |rules?|standards?|definition|wiki|style guide)\b
"""
DEFINING = re.compile(
    any_of(_DEFINING) + r"(?: (?:and )?(?:for )?(?:the )?(?:future|next time|later))?"
)
"""Announces something worth knowing."""

ANNOUNCED = anywhere(_DEFINING)
"""The same in the middle of a sentence."""

MEANING = anywhere(r"""
    \b(?:we|people here|everyone here|the team|finance|sales|marketing|support|legal
        |accounting) (?:always |usually |officially |internally |also |do )?(?:define|call|count
        |treat|measure|calculate|compute|consider|classify|label|refer to|understand
        |abbreviate)s?\b
    \b(?:is|are|gets?) (?:officially |internally |always |usually |here )?(?:defined|understood
        |computed|calculated|measured|counted|known|abbreviated|classified|considered|treated
        |derived|rated|billed|charged|recognised|recognized|booked|accounted) (?:as|by|from|to
        |in|on|here|with|without|at|per|when|if|once|only|over|after|before|using|including
        |excluding|for|monthly|yearly|weekly|daily)\b
    \bwe use (?:the )?(?:\w+ )?(?:term|word|name|label|abbreviation|expression)\b|\b(?:for|with
        |to|at) us,? .{0,60}\b(?:is|are|means?)\b
    ^[\w/&%'"-]+(?: [\w/&%'"-]+){0,2} ?:?= ?\S+ \S+ \S+|^[\w/&-]+(?: \w+){0,2} for us (?:is|are
        |means?)\b
    \bcounts? (?:as|towards|in|only)\b|\bqualif(?:y|ies) as\b|\b(?:consists?|made up
        |composed) of\b
    \bis (?:considered )?(?:eligible|valid|complete|active|resolved|closed|late|overdue|final
        |due|lost|won|churned|dormant|qualified|billable|taxable|approved|critical
        |breached) (?:if|when|once|after|only|as soon)\b
    ^(?:an?|one) ['"]?[a-z][\w-]*['"]?(?: [\w-]+){0,3}? (?:is|has|needs|requires|must|can|may
        |consists|belongs|contains|always|never|only)\b(?! (?:missing|broken|wrong|failing
        |not working|needed|required|better|nicer))
    \bstands? for\b|\bis (?:short|an abbreviation|an acronym|shorthand|a synonym|another (?:name
        |word)|slang) (?:for|of)\b
    \bis (?:our|the) (?:\w+ )?(?:name|term|word|acronym|abbreviation) for\b|\brefers? to\b
    \bdenotes?\b
    \bby \S+(?: \S+){0,3} (?:we|i) (?:always |usually )?mean\b|\bwe (?:always |usually )?mean\b
    \bwhen (?:we|people|someone|anyone|somebody|i) (?:here )?(?:says?|talks? about|writes?
        |speaks? of)\b
    ^(?:in (?:our|this) [^,]{1,30},? )?(?:an? |the |our )?['"`]?[\w&/%.-]+(?: [\w&/%.-]+
        |){0,3}['"`]? (?:always |only |here |just |in our \w+ |for us )*means?\b(?! that (?:we
        |you|i) (?:should|can|could|have|need))
    \balso known as\b|\ba\.?k\.?a\b|\(short for\b|\bthe definition of\b|\bwhat we call\b|\b(?:a
        |an) \w+(?: \w+){0,2} (?:is|are) (?:any|an?|one|someone|somebody
        |something) \w+(?: \w+){0,3} (?:that|which|who|with|whose|where|if)\b
""")
"""Says what a term means."""

RULE = anywhere(r"""
    \b(?:our|the|company|team|house|an?) (?:[\w-]+ ){0,3}?(?:convention|rule|policy|standard
        |practice|principle|guideline|slo|sla|definition|terminology
        |agreement)(?: here)?(?: (?:in|for|on|with|at) [^,.:;]{1,30})?(?: is| are| says| states
        | requires|:)(?! (?:there|it|this|wrong|broken|unclear|missing))
    \bin our \w+(?: \w+)?,? (?:an?|the|every|each|all|we|\w+ (?:is|are|has|have|means))\b|^(?:in
        |for) (?:finance|sales|marketing|hr|legal|accounting|support|reporting|production
        |logistics),? (?:an?|the|every|we|\w+ (?:is|are|means))\b
    \bthe way we\b|\bhow we do (?:it|this)\b
    \b(?:the|our) (?:[\w-]+ ){0,3}(?:process|deal|logic|arrangement|term
        |requirement|agreement|threshold|target|cut-off|cutoff|deadline|limit|budget|window
        |period|retention|minimum|maximum|quota|interval|currency) (?:for .{1,30} )?is\b
    ^(?:the|our) .{3,60}\b(?:every|each) (?:\d+|other|\w+day|day|week|month|quarter|hour|night
        |morning|evening|year|minute)\b
    \bin (?:our|this) (?:team|company|organisation|organization|org|department|business|shop
        |world|group)\b|\bat our company\b
    ^we (?:\w+ly |only |also )?(?:distinguish|differentiate|separate|split|use|keep|store|bill
        |deploy|release|log|publish|charge|round|report|invoice|book|pay|ship|archive|delete
        |sync|review|version|tag|group|split|format|track|host|process|accept|support|require
        |follow|apply|send|sell|serve|offer|pin|encrypt|hash|mask|rotate|recognise|recognize
        |anonymise|anonymize|reconcile|close)\b(?! (?:it|this|that|them|these|those|for this
        |here)\b)
    ^(?:all |the )?[\w-]+(?: [\w-]+){0,3} (?:live|lives|belong|belongs|go|goes) (?:in|to|into
        |under|on)\b
    \b(?:is|are|'s) our (?:standard|convention|rule|policy|default|definition|practice
        |source of truth)\b|\bsource of truth\b
    ^(?:here|with us|for us)(?: at \w+)?,? (?:an?|the|every|all|we|nobody|each)\b
""")
"""Says what the rule is."""

UNIVERSAL = anywhere(r"""
    ^(?:all|every|each|any|only|nobody|both|our)\b(?! (?:of (?:these|those|them|the|my)\b|time\b
        |i|you|good|set|done|of (?:it|this|that)|right|this|that|clear|fine|we need|i need
        |i want)\b)
    ^no (?:one|customer|user|table|service|order|invoice|account|\w+) (?:is|are|may|must|can|has
        |ever|should|gets|leaves)\b
    \b(?:must|may|will|can|has|have|does|do)(?: \w+)? (?:always|never|only)\b
    \bwe (?:always|never|only) (?!have\b|need\b|want\b|got\b|get\b|see\b)
    ^(?!it\b|this\b|that\b|you\b|they\b).*\b(?:always|never) \w{2,}
""")
"""Says that something holds without exception; with nothing else it takes a fact of its own."""
