"""Whether a text tells its reader to do something: what is handed to agents must not.

A text is an order if it says so anywhere: to whoever reads it, as a command of a shell, as a link
(nobody has approved what stands behind it), or hidden. In doubt it is one; a person may let it
pass. Pure; how a fact is written down is in `export.py`.
"""

import re
import unicodedata
from collections.abc import Iterable

from session_pipeline_dagster.names import plain

_ANSI = re.compile(r"\x1b?\[\d{1,3}(?:;\d{1,3})*m")
_INVISIBLE = re.compile(r"[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u3164"
    r"\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")  # fmt: skip
"""What `names.plain` leaves, because some languages and emoji are spelt with it."""
_SPACED = re.compile(r"(?<!\w)(?:[^\W\d_] ){3,}[^\W\d_](?!\w)")
_LEET = str.maketrans("013457@$", "oieastas")
_MARKS = re.compile(r"[*_~`\"'“”‘’«»#]+")
_TAG = re.compile(r"<!--|-->|</?[a-z][^<>]*>", re.IGNORECASE)
_ENDS = re.compile(r"(?<=[.!?;:])\s+|[。！？；：\n]+|\s[–—-]\s")
_PARTS = re.compile(r"[,，、]\s*|\s+(?:and|then|und|et|y)\s+", re.IGNORECASE)
_NUMBERED = re.compile(r"^\W*(?:\d+[.)]\s+)?\W*")

_SHELL = re.compile(
    r"""(?<!\S)--(?:force|no-verify|hard|privileged|dangerously[\w-]*)\b|\|\s*(?:ba|z|k)?sh\b|\$\(|&&
    |\b(?:rm|dd|tar|bash|sh|zsh|python3?|node|perl|ruby|php|systemctl|powershell|cmd)\s+[-/]\w
    |\bsudo\s+(?!at\b|is\b|or\b|and\b|rights?\b|access\b|to\b|for\b|in\b|on\b)\w
    |\b(?:curl|wget|ssh|scp)\s+(?:-\S+\s+)*\S*[./@]\w|\b(?:npx|chmod|chown)\s+\S|\beval\s*["'$(`]
    |\b(?:kubectl|helm|terraform)\s+(?:apply|create|delete|destroy|exec|install|run|scale|uninstall)\b
    |\bgit\s+(?:push|commit|reset|clean|checkout|rebase|config)\b
    |\b(?:pip|npm|yarn|pnpm|brew|apt|apt-get|cargo|gem|go)\s+(?:install|add|i|run|get|remove)\b
    |\b(?:docker|podman)\s+(?:run|exec|rm|pull)\b|\bos\.system\b|\bsubprocess\b""",
    re.IGNORECASE | re.VERBOSE,
)
_LINK = re.compile(
    r"\b[a-z][a-z0-9+.-]*:[/\\]{2}|\b(?:javascript|data|vbscript|mailto|file|vscode):\S|\]\("
    r"|\bwww\.\w|\b(?:[\w-]+\.)+(?:com|org|net|io|dev|ai|app|co|info|example|xyz|me|link|site|cloud|eu|de|uk)/\w|\b[\w.+-]+@[\w-]+\.[a-z]{2,}",
    re.IGNORECASE,
)
_ROLE = re.compile(
    r"""^\W*(?:system|assistant|user|human|developer|important|attention|instructions?|note\ to\ .*)
    \s*:|<\|?/?\s*(?:system|assistant|instructions?|user|im_start|im_end)\b|\[/?INST\]
    |\bnote\ to\ (?:the\ )?(?:assistant|agents?|ai|model|claude)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_AGENTS = (
    r"(?:assistants?|ai|agents?|claude|copilot|codex|gemini|chatgpt|llms?|models?|chatbots?|bots?)"
)
_TOLD = re.compile(
    rf"""\byou\ (?:must|should|shall|will|may|have|are|ought|need\ to)\b|\byou'(?:re|ll|d)\b
    |\b(?:who(?:m|so)?ever|anyone|everyone|if\ you(?:'re|\ are)?)\ read(?:s|ing)?\b|\bthat\ you\b
    |\byour\ (?:\w+\ )?(?:task|job|goal|role|mission|instructions?|prompt)\b|\bfrom\ now\ on\b
    |\b{_AGENTS}\ (?:\w+\ )?(?:must|should|shall|ha(?:s|ve)\ to|needs?\ to|may\ not)\b
    |\b(?:ignor|disregard|forget|overrid|bypass)\w*\b.*\b(?:instructions?|rules?|prompts?)\b
    |\b(?:du|ihr)\ (?:musst|müsst|sollst|darfst|bist)\b|\b(?:tu\ dois|vous\ devez)\b
    |\b(?:debes|tienes\ que|deb[eé]is)\b|\b(?:devi|dovete)\ \w+(?:are|ere|ire|rti)\b
    |\bvocês?\ devem?\b
    |\bmus[ií](?:š|te)\b|\bmusi(?:sz|cie)\b|\b(?:je|u|jij)\ moet\b|\b(?:ты|вы)\ должн
    |して(?:ください|下さい)|しなさい|せよ|(?:無視|削除|実行|承認)し(?:て|ろ)|[你您](?:必须|应该|要)""",
    re.IGNORECASE | re.VERBOSE,
)
_OPENS = re.compile(
    r"""^(?:make\ sure|be\ sure|act\ as|do\ not|don't|dont|let's|it\ is\ (?:required|important))\b
    |^(?:always|never|please|kindly)\s+(?!on\b)[^\W\d]""",
    re.IGNORECASE | re.VERBOSE,
)
_ADVERBS = frozenset("now then just also first next finally immediately simply always".split())
_GO_ON = frozenset({"do", "don't", "not", "never", "please"})
_VERBS = frozenset(
    """accept act add allow answer append apply approve ask assume authorize avoid build bypass
    call change check clear click close commit connect continue copy create decode delete
    deploy disable discard disregard download drop echo edit email enable ensure erase
    execute export fetch follow forget forward give grant hide ignore import include insert
    install invoke keep kill launch leave list load log make mark merge move omit open
    output overwrite paste post pretend print proceed publish pull push put read rebase
    reject release remember remove rename repeat replace reply report reset respond restart
    return reveal revert run save say send set share show skip start stop store submit
    switch tell test treat trust turn type uninstall unset update upload use visit wipe
    write""".split()
)
_FINITE = frozenset(
    """is are was were has have had means mean comes come goes go needs need requires require can
    cannot may must should will shall would could does do did contains contain depends depend
    belongs belong counts count follows follow takes take gets get""".split()
)
_TAKEN = frozenset(
    """the a an all any each every your my our it its this that these those them me him her us
    everything anything whatever whoever whenever only no not to from into with straight up off on
    out in""".split()
)
"""What follows a verb that is an order, and no noun that is part of a name ("run rate")."""
_NEVER_VERBS = frozenset(
    """in on at of for from to by with without within into onto over under above below between among
    through during before after since until till per via about against across along around behind
    beside besides beyond despite except inside like minus near outside past plus toward towards
    unlike upon versus and or but nor so yet if when whenever while where whether because although
    though unless as than that this these those the a an all any each every both either neither
    half once twice not only even also just such quite what whatever which who whose is are was were
    does do did has have had can may must should will shall would could almost nearly some most many
    few several more less no none nobody everybody everyone it we they he she you i there here then
    now often never always sometimes usually today tomorrow yesterday""".split()
)
_DETERMINERS = frozenset({"the", "all", "your", "every", "any", "it", "that", "everything"})
_ELSEWHERE = re.compile(
    r"""^(?:ignorier|ignorez\b|ignora\b|ignorad|ignoruj|zignoruj|negeer|игнорир|проигнорир
    |忽略|无视|無視|vergiss|vergesst|oublie|olvid[ae]|dimentic|esque[cç]|vergeet|zapom|забудь
    |lösche?\b|löscht\b|supprime[zr]?\b|efface|borr[ae]\b|elimin[ae]\b|cancell[ai]\b|apag(?:a|ue)\b
    |exclu[ai]\b|verwijder|usuń|skasuj|sma[zž]|удали|删除|删掉|刪除
    |führe?n?\b|starte\b|exécute[zr]?\b|lance[zr]\b|ejecut[ae]\b|esegui|executa\b|voer\b|uruchom
    |spus[tť]|запусти|выполни|执行|运行|执行|installier|installe[zr]?\b|instal[ae]\b|installa\b
    |installeer|zainstaluj|nainstaluj|установи|安装|öffne\b|ouvre[zr]?\b|abr[ae]\b|apri\b|otwórz
    |otev[rř]|открой|打开|sende\b|schicke?\b|envoie|envoyez|env[ií][ae]\b|invia\b|stuur|wyślij
    |pošl[ei]|отправь|发送|deaktivier|désactive|desactiv|disattiva|desative|wyłącz|vypn|отключи
    |genehmig|approuve|aprueb|approva\b|aprove|zatwierdź|schval|одобри|批准)""",
    re.IGNORECASE | re.VERBOSE,
)
_GREEK_SIGNS = frozenset("μΔΩπσλαβγδ")


def unhidden(text: str) -> str:
    """Without what colours a terminal and what is written but not seen."""
    return _INVISIBLE.sub("", _ANSI.sub("", text))


def why_an_order(text: str) -> str | None:
    """What makes it one: `order`, `command`, `link` or `hidden`; None if nothing does."""
    said = _TAG.sub(". ", _ANSI.sub(". ", unicodedata.normalize("NFKC", text)))
    lines = plain(re.sub(r"[\n\r\v\f\x85\u2028\u2029]+", ". ", _INVISIBLE.sub("", said)))
    if _LINK.search(lines):
        return "link"
    if _SHELL.search(_MARKS.sub(" ", lines)):
        return "command"
    if any(_of_two_alphabets(word) for word in lines.split()):
        return "hidden"
    whole = unicodedata.normalize("NFKC", text)
    together = _SPACED.sub(lambda found: found[0].replace(" ", ""), lines)
    readings = {lines, together, " ".join(map(_unmasked, together.split()))}
    if _ROLE.search(whole) or any(map(_orders, readings)):
        return "order"
    return None


def _of_two_alphabets(word: str) -> bool:
    names = (
        unicodedata.name(c, "").partition(" ")[0]
        for c in word
        if c.isalpha() and c not in _GREEK_SIGNS
    )
    return len({*names} & {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}) > 1


def _unmasked(word: str) -> str:
    """Letters for the figures in a word that has both."""
    return word.translate(_LEET) if re.search(r"[^\W\d_]", word) else word


def _orders(text: str) -> bool:
    """Whether any sentence or clause of it is one."""
    words = _MARKS.sub(lambda found: "'" if found[0] in {"'", "’"} else " ", text)
    if _TOLD.search(" ".join(words.split())):
        return True
    return any(_is_order(part, whole=n == 0) for s in _ENDS.split(words) for n, part in _clauses(s))


def _clauses(sentence: str) -> Iterable[tuple[int, str]]:
    return enumerate((sentence, *_PARTS.split(sentence)[1:]))


def _is_order(part: str, *, whole: bool) -> bool:
    """Whether a clause begins with what is to be done."""
    clause = _NUMBERED.sub("", part)
    words = [w.strip(".,!?()[]{}") for w in clause.casefold().split()]
    # "..., never the name" and "... and do not know" go on with what they say of somebody.
    skipped = _ADVERBS if whole else _ADVERBS | _GO_ON
    while len(words) > 1 and words[0] in skipped and not (whole and _OPENS.match(" ".join(words))):
        words = words[1:]
    if not words:
        return False
    said = " ".join(words)
    if (whole and _OPENS.match(said)) or _ELSEWHERE.match(said):
        return True
    first, after = words[0], words[1] if len(words) > 1 else ""
    if first in _VERBS:
        has_object = bool(re.search(r"[./~@]|^\d", after))
        if not whole:
            return has_object or after in _DETERMINERS
        return has_object or after in _TAKEN or (bool(after) and not _FINITE & {*words[1:]})
    return bool(
        whole
        and after in _DETERMINERS
        and first.isalpha()
        and first not in _NEVER_VERBS
        and not first.endswith(("ing", "ed", "ly", "s"))
        and not _FINITE & {first}
    )
