"""What people and programs call a secret, in many languages; matched in lower case."""

import re

# A name begins with one of them.
LITERALS = """
    pass p@ss pa55 pwd psw pw p/w ww pasword psswd pswd kennw heslo heslem hasło haslo hasłem haslem
    mdp contrase contrasi clave senha parol wachtwoord lösenord losenord adgangskode kodeord
    salasana jelsz lozinka geslo şifre sifre parool slaptažodis lykilorð sandi khẩu парол лозинка
    κωδικ συνθηματικ مرور السر عبور סיסמ पासवर्ड รหัสผ่าน パスワード パスフレーズ 合言葉 密 口令
    비밀번호 비번 암호 패스워드
    secret token credential auth creds key sonar hmac seed psk dsn bearer schlüssel schluessel
    geheimnis clé clef jeton chave segredo chiave klucz klíč sleutel llave ключ токен секрет
    キー トークン シークレット 令牌 토큰
    pin puk otp totp 2fa mfa cvv cvc code geheimzahl kód пин 暗証番号 ピン 认证码 認証コード 验证码
    驗證碼 인증번호
""".split()

# A short one that other words hold (`bypass`, `spin`) begins where a word begins.
_WORD = r"(?<![a-z])"
_END = r"(?![a-zà-ž])"
_BEFORE_PASS = "|".join(
    f"(?<={word})"
    for word in "db pg ssh user root admin smtp mail my require ftp ldap store key".split()
)
_PASSWORD = rf"""
    pass[ _-]?(?:words?|wort|wd|phrase|code|ord|wrd) | p[a@][s5$]{{2}}w[o0]rd | passw{_END}
    | (?:{_WORD}|{_BEFORE_PASS})pass{_END} | pasword | psswd | pswd | pwd{_END}
    | (?<=wifi[ ])key{_END} | (?<=wi-fi[ ])key{_END} | (?<=wlan[ ])key{_END}
    | {_WORD}(?:psw|pw|p/w|ww|mdp){_END}
    | (?<=de[ ])passe | (?<=de_)passe | (?<=palavra[ ])passe | (?<=palavra-)passe | motdepasse
    | kennw[oö]rt(?:er)? | hesl(?:o|em){_END} | has[lł](?:o|em){_END}
    | contrase[nñ]as? | contrasenya | contrasinal | {_WORD}claves?{_END} | {_WORD}senhas?{_END}
    | {_WORD}parol[aăe](?:[ ]d'ordine)?{_END} | wachtwoord(?:en)? | l[öo]senord | adgangskode
    | kodeord | salasana | jelsz(?:ó|ava) | {_WORD}lozinka | {_WORD}geslo | [şs]ifre(?:si)?{_END}
    | {_WORD}parool | slaptažodis | lykilorð | (?<=kata[ ])sandi | (?<=mật[ ])khẩu
    | парол[ьеяию]м?(?:[ ]доступ[ау])? | парола | лозинка | κωδικ[όο]ς? | συνθηματικ[όο]
    | (?<=كلمة[ ]ال)مرور | (?<=كلمة[ ])السر | (?<=رمز[ ])عبور | סיסמ[הא] | पासवर्ड | รหัสผ่าน
    | パスワード | パスフレーズ | 合言葉 | 密[码碼] | 口令 | 비밀번호 | 비번 | 암호 | 패스워드
"""
_SECRET = rf"""
    secrets?(?!ar|ion|e\b) | tokens?(?!i[sz]|e) | credentials? | {_WORD}creds{_END} | bearer
    | {_WORD}auth(?!or(?!iz)|en(?!tication.?tok)|[nz]) | {_WORD}psk{_END} | dsn{_END} | hmac{_END}
    | sonar[._]?login | (?<=2fa[ ])seed | (?<=mfa[ ])seed | (?<=totp[ ])seed
    | schl[uü]e?ssel | geheimnis
    | {_WORD}(?:cl[ée]f?|jeton|chave|segredo|chiave|klucz|klíč|sleutel|llave){_END}
      (?:[ ](?:d'|de[ ]|da[ ]|do[ ]|k[ ])?(?:api|acc\w{{2,4}}))?
    | ключ(?:[ ](?:api|доступ[ау]))? | токен | секрет
    | キー(?!ボ) | トークン | シークレット | 密[钥鑰] | 令牌 | 토큰
"""
_BEFORE_CODE = "|".join(
    f"(?<={word.replace('_', '[ ]')})codes?"
    for word in """verification_ security_ secret_ entry_ gate_ garage_ access_ time_ unlock_ door_
    alarm_ sms_ safe_ login_ confirmation_ bestätigungs sicherheits zugangs""".split()
)
_CODE = rf"""
    {_WORD}(?:pin|puk|t?otp|2fa|mfa|cvv2?|cvc2?)(?:[ -]?(?:code|number|nummer|kód|kod))?{_END}
    | geheimzahl | {_BEFORE_CODE} | (?<=ověřovací[ ])kód | пин(?:-?код)?(?![а-я])
    | 暗証番号 | ピン | 认证码 | 認証コード | 验证码 | 驗證碼 | 인증번호
"""
NAME = re.compile(
    rf"(?P<password>{_PASSWORD})|(?P<secret>{_SECRET})|(?P<key>keys?(?![a-z]))|(?P<code>{_CODE})",
    re.VERBOSE,
)
# In front of `key`: then it is one that opens something.
QUALIFIED = re.compile(
    r"""(?:api|access|private|account|encrypt\w*|signing|master|secret|shared|storage|subscription
    |service|licen[sc]e|activation|product|webhook|deploy|ssh|host|session|cipher|aes|hmac|jwt
    |client|consumer|genie|instrumentation|app|application|auth|root|user|admin|functions?|publish|write|read|server
    |recovery|wi-?fi|vpn|ingest|project|integration|hub|sas|gpg|crypto|pass|x-\w{1,20}
    |[a-z0-9]_)[\s_.-]?$""",
    re.VERBOSE,
)
# Behind a name: `password_file`, `token_type` are not the secret itself.
ABOUT_IT = re.compile(
    r"""(?:file|path|ur[li]|name|type|ids?|refs?|length|len|counts?|field|label|policy|expir\w*|ttl
    |arn|env|at|header|prefix|suffix|required|enabled|endpoint|size|limits?|version|i[sz]ed?|izer
    |less|store|provider|manager|helper|service|class|model|form|input|page|reset\w*|regex|pattern
    |rules?|hint|attempts|lifetime|timeout|usage|budget|window|bucket|based|stdin|index|group
    |scheme|status|algorithm|source|per|pair|space|board)$""",
    re.VERBOSE,
)
