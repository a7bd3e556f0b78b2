"""Words of seven languages by what they say: that something is always so, was asked, is only now.

Lists only. What is in a list of one language means the same to the weights as in another, so that
what was learned from many English turns holds where there are few. Words are lower case; in Czech,
German, Spanish, French and Portuguese also without their accents (`plain_letters`).
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Mapping, Set

_SPOKEN: Mapping[str, str] = {
    "we": """
        we we're we've we'll our ours us my|nas naše naši náš našeho našem našich nám máme používáme
        počítáme děláme jsme wir unser unsere unserem unseren unserer uns nosotros nuestro nuestra
        nuestros nuestras nous notre nos nós nosso nossa nossos nossas a|gente temos usamos tenemos
        hacemos on|a chez|nous bei|uns u|nás aquí|en""",
    "always": """
        always never ever every each all any only nobody everyone none must cannot vždy nikdy každý
        každá každé všechny všichni jen jenom pouze nikdo musí nesmí immer nie niemals jede jeder
        jedes alle nur niemand muss müssen darf dürfen siempre nunca cada todos todas todo toda solo
        sólo solamente nadie debe deben toujours jamais chaque tous toutes tout seulement uniquement
        personne doit doivent sempre jamais apenas somente ninguém deve devem ne|que""",
    "no": """
        no nope not isn't aren't doesn't don't wasn't won't can't nor without never ne není nejsou
        nemá nemáme nejde nikoliv nikoli bez nein nicht kein keine keinen keiner ohne doch non pas
        n'est n'a sans não sem nem sin ni tampoco""",
    "wrong": """
        wrong incorrect false mistake mistaken outdated misunderstood špatně chyba omyl nesprávně
        nesedí falsch fehler stimmt|nicht quatsch irrtum mal incorrecto equivocado error equivocas
        faux erreur incorrect tort errado errada erro engano incorreto""",
    "yes": """
        yes yep yeah right exactly correct ano jo přesně správně jasně souhlasí ja genau richtig
        stimmt korrekt sí exacto exactamente correcto oui exactement exact voilà sim exato
        exatamente isso correto certo""",
    "actually": """
        actually really instead rather fact vlastně ve|skutečnosti naopak místo eigentlich
        tatsächlich sondern stattdessen vielmehr en|realidad sino en|fait plutôt mais|en na|verdade
        na|realidade""",
    "means": """
        means mean meaning called defined definition counts stands refers znamená rozumíme říkáme
        jmenuje definice počítá označuje považujeme bedeutet heißt heisst nennen bezeichnet gilt
        zählt definiert significa llamamos definimos cuenta quiere|decir signifie veut|dire appelle
        appelons désigne compte chamamos conta considera|se quer|dizer""",
    "rule": """
        rule policy convention standard agreement guideline contract law pravidlo pravidla dohoda
        konvence smlouva zákon regel regeln vereinbarung konvention richtlinie vertrag gesetz regla
        norma convención política acuerdo contrato règle convention politique contrat loi regra
        convenção acordo lei""",
    "note": """
        note fyi remember btw reference context background pozn mimochodem pamatuj poznámka pro|info
        jen|aby übrigens hinweis merk wichtig denk|daran zur|info por|cierto recuerda nota ojo
        importante pour|info rappel attention sache à|noter lembra lembrando aviso atenção
        só|pra""",
    "now": """
        today tomorrow yesterday now currently still yet again just already later dnes zítra včera
        teď právě zase pořád ještě už zatím heute morgen gestern jetzt gerade wieder immer|noch
        schon noch momentan hoy mañana ayer ahora todavía otra|vez ya aún aujourd'hui demain hier
        maintenant encore déjà toujours|pas hoje amanhã ontem agora ainda já de|novo""",
    "ask": """
        please can could would pls let's prosím můžeš mohl udělej přidej oprav zkus spusť napiš
        smaž použij změň podívej dej ukaž vytvoř bitte kannst könntest mach füge änder schreib lösch
        zeig prüf nimm erstell por|favor puedes podrías haz añade agrega cambia corrige arregla
        escribe borra usa revisa muestra pon crea s'il|te peux pourrais fais ajoute change corrige
        écris supprime utilise vérifie montre mets crée pode poderia faz faça adiciona adicione muda
        mude corrige corrija escreve apaga usa use verifica mostra coloca cria""",
    "asked": """
        what why how where when which who whose co proč jak kde kdy který kdo was warum wie wo wann
        welche welcher wer wieso qué por|qué cómo dónde cuándo cuál quién quoi pourquoi comment où
        quand quel quelle qui est-ce que|pasa o|que por|que como onde quando qual quem""",
    "doubt": """
        maybe perhaps probably guess think believe suppose seems not|sure wonder asi možná myslím
        nevím snad tuším zdá vielleicht wahrscheinlich glaube denke vermute weiß|nicht scheint
        quizás quizá tal|vez creo pienso supongo parece no|sé peut-être probablement crois pense
        suppose semble sais|pas talvez provavelmente acho penso suponho parece não|sei""",
    "wish": """
        want like prefer wish hope rather would|like chci chtěl chtěla radši líbí will möchte hätte
        lieber gern wünsche quiero quisiera prefiero gustaría me|gusta veux voudrais préfère
        j'aimerais aimerais quero queria prefiro gostaria""",
    "thanks": """
        thanks thank thx cheers great nice good perfect cool díky děkuju děkuji super paráda skvělé
        danke prima toll klasse perfekt gracias genial perfecto bien merci parfait génial obrigado
        obrigada valeu perfeito ótimo""",
    "me": """
        i i'm i'll i've i'd me já mně mě jsem ich mir mich yo mí me je j'ai moi eu mim estou fiz""",
    "you": """
        you your you're you've tobě tvůj tebe máš jsi dals udělal du dein deine dir dich hast bist
        tú tu te has tus tes ton ta você vc teu seu""",
    "because": """
        because since so therefore protože takže proto weil da deshalb sonst porque así|que ya|que
        parce car donc sinon pois então""",
    "be": """
        is are was were has have does do je jsou má mají bývá ist sind hat haben wird werden es son
        está están tiene tienen est sont a ont fait é são está estão tem têm""",
    "when": """
        when if once after before until unless když pokud až po před wenn falls nach vor bis cuando
        si después antes hasta quand si après avant jusqu'à lorsque quando se depois antes até""",
}
_JAPANESE: Mapping[str, str] = {
    "we": "うち|弊社|当社|我々|私たち|社内|自社|ウチ",
    "always": "必ず|常に|絶対|すべて|全て|全部|のみ|だけ|しか|毎回|毎日|毎月|毎週|毎朝|一切|決して"
    "|禁止",
    "no": "ない|ません|違|いいえ|いや|じゃなく|ではなく|なし",
    "wrong": "違い|違う|間違|誤り|誤って|正しくは|ちがう|じゃないです",
    "yes": "はい|そう|その通り|合って|正しい|ええ",
    "actually": "実は|実際|本当は|むしろ|ではなく|じゃなくて",
    "means": "とは|という|意味|指し|指す|呼ん|呼び|のこと|扱い|定義|みなし",
    "rule": "ルール|規則|決まり|規約|方針|運用|規定|契約|取り決め|ことになって",
    "note": "ちなみに|参考|補足|なお|念のため|覚えて|前提|注意",
    "now": "今日|明日|昨日|今|さっき|まだ|また|もう|先ほど|現在|とりあえず",
    "ask": "ください|下さい|お願い|してほしい|して欲しい|くれ|頼む|しよう|しましょう|しといて"
    "|してね",
    "asked": "何|なぜ|どう|どこ|いつ|どれ|どの|誰|ですか|ますか|のか|かな",
    "doubt": "かも|たぶん|多分|思う|思い|気が|でしょうか|はず|らしい|よう",
    "wish": "したい|欲しい|ほしい|好き|希望|いいな",
    "thanks": "ありがとう|助か|いいね|完璧|最高|お疲れ|了解",
    "because": "から|ので|ため|なので",
    "be": "です|である|ている|ます|された|される",
    "when": "とき|場合|たら|なら|以降|以前|まで|後|前に",
}


def plain_letters(text: str) -> str:
    """Without accents."""
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(c for c in parts if not "\u0300" <= c <= "\u036f"))


_RUN = re.compile(r"[\w']+")
_KANA = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
"""In all that is Japanese above."""


def _terms(spoken: str) -> frozenset[str]:
    terms = {term.replace("|", " ") for term in spoken.split()}
    return frozenset(terms | {plain_letters(term) for term in terms})


def _whole(terms: Collection[str]) -> str:
    """A pattern of these terms where no word goes on."""
    ordered = sorted(terms, key=lambda term: (-len(term), term))
    return rf"(?<![\w'])(?:{'|'.join(map(re.escape, ordered))})(?![\w'])"


def _by_run(terms: Mapping[str, Collection[str]]) -> Mapping[str, Set[str]]:
    """The names of the concepts that have a term which begins with a word."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, each in terms.items():
        for term in each:
            found[_RUN.findall(term)[0]].add(name)
    return found


_TERMS = {name: _terms(spoken) for name, spoken in _SPOKEN.items()}
_LONGER = {
    name: frozenset(term for term in terms if not _RUN.fullmatch(term))
    for name, terms in _TERMS.items()
}
_WORDS = _by_run({name: terms - _LONGER[name] for name, terms in _TERMS.items()})
_FIRST_WORDS = _by_run(_LONGER)
_LONGER_PATTERNS = {name: re.compile(_whole(terms)) for name, terms in _LONGER.items() if terms}
_JAPANESE_PATTERNS = {name: re.compile(said) for name, said in _JAPANESE.items()}

CONCEPTS: Mapping[str, re.Pattern[str]] = {
    name: re.compile("|".join(filter(None, (_whole(terms), _JAPANESE.get(name)))))
    for name, terms in _TERMS.items()
}
"""Name -> what says it; matched against a sentence in lower case with plain quotes."""


def concepts_in(lower: str) -> list[str]:
    """The names of those that stand in a sentence, in their order: a word tells of most."""
    runs = set(_RUN.findall(lower))
    found = {name for run in runs & _WORDS.keys() for name in _WORDS[run]}
    for run in runs & _FIRST_WORDS.keys():
        for name in _FIRST_WORDS[run] - found:
            if _LONGER_PATTERNS[name].search(lower):
                found.add(name)
    if not lower.isascii() and _KANA.search(lower):
        found |= {name for name, said in _JAPANESE_PATTERNS.items() if said.search(lower)}
    return [name for name in CONCEPTS if name in found]
