"""Passwords on command lines, in scripts and in calls, as somebody pastes them."""

from session_pipeline_dagster.processors.verification.redaction.forms import Form, form
from session_pipeline_dagster.processors.verification.redaction.values import (
    is_reference,
    looks_chosen,
    looks_strong,
)

_ARGUMENTS = r"[^\n|;&]{0,200}?\s"
_VALUE = r"""["']?(?P<secret>[^\s"'|;&-][^\s"']{2,200})"""
_QUOTED = r"""["'](?P<secret>[^"'\n]{3,200})["']"""
_USER_OPTION = r"(?:-u|--user|--proxy-user|-a|--auth)[ =]{0,3}"


def _is_given(value: str) -> bool:
    """Whether it stands there itself; `1000:1000` is a user and a group."""
    return not (is_reference(value) or value.replace(":", "").isdigit())


def _is_alone(value: str) -> bool:
    return looks_chosen(value) and _is_given(value) and "=" not in value[:-2]


COMMANDS: tuple[Form, ...] = (
    form("password", "mysql|mariadb", rf"(?:mysql|mariadb)[\w-]*{_ARGUMENTS}-p{_VALUE}", _is_given),
    form(
        "password",
        "sshpass|docker login|podman login|az login|registry login|oc login|skopeo login|mongo|7z"
        "|rar |psexec|usermod|useradd|twine upload",
        rf"""
        (?:sshpass|(?:docker|podman|az|registry|oc|skopeo)[ ]login|mongo\w*|7z\w?|rar
        |user(?:mod|add)|twine[ ]upload|psexec\w*(?:\.exe)?)
        (?=\s){_ARGUMENTS}-h?p[ =]{{0,2}}{_VALUE}
        """,
        _is_given,
    ),
    form(
        "password",
        "zip |sqlcmd|bcp |mosquitto|ipmitool|redis-cli|ldap|plink|pscp|psftp|rdesktop|xfreerdp",
        rf"""
        (?:(?:zip|sqlcmd|bcp|mosquitto\w*|ipmitool){_ARGUMENTS}-p|redis-cli{_ARGUMENTS}-a
        |ldap\w+{_ARGUMENTS}-w|(?:plink|pscp|psftp){_ARGUMENTS}-pw|rdesktop{_ARGUMENTS}-p
        |xfreerdp{_ARGUMENTS}/p:)[ =]{{0,2}}{_VALUE}
        """,
        _is_given,
    ),
    form(
        "password",
        "smbclient|rpcclient",
        rf"""(?:smb|rpc)client{_ARGUMENTS}-u[ ]?["']?[\w.\\/@-]{{1,60}}%{_VALUE}""",
        _is_given,
    ),
    form("password", "openssl", rf"openssl{_ARGUMENTS}(?:-\w+[ ]pass:|-k[ ]){_VALUE}", _is_given),
    form(
        "password",
        "htpasswd",
        rf"""
        htpasswd\s+(?:-\w{{0,8}}n\w{{0,8}}\s+|-\w{{0,8}}b\w{{0,8}}\s+\S{{1,200}}\s+)
        \S{{1,80}}\s+{_VALUE}
        """,
        _is_given,
    ),
    form(
        "password",
        "sqlplus",
        r"""sqlplus\s+(?:-\w{1,9}\s+)?\w{1,60}/(?P<secret>[^@\s"']{3,200})""",
        _is_given,
    ),
    form(
        "password",
        "net us",
        rf"net[ ]us(?:er\s+\S{{1,60}}|e\s+[^\n]{{1,200}}?/user:\S{{1,80}})\s+{_VALUE}",
        looks_chosen,
    ),
    form(
        "userpass",
        "curl |http |https |wget |xh ",
        rf"""
        (?<![a-z:/])(?:curl|https?|wget|xh)[ ][^\n|;&]{{0,200}}?[ ]?{_USER_OPTION}
        ["']?[^\s:"'/]{{1,100}}:(?P<secret>[^\s"']{{3,200}})
        """,
        _is_given,
    ),
    form(
        "userpass",
        "-u |--user|--auth",
        rf"""(?<=\s){_USER_OPTION}["']?[^\s:"'/]{{1,100}}:(?P<secret>[^\s"']{{4,200}})""",
        looks_chosen,
    ),
    form("password", "-p", rf"(?<=[ ])-p{_VALUE}", looks_strong),
    form(
        "password",
        "echo |printf ",
        r"""
        (?:echo|printf)\s+(?:-n\s+|-e\s+|--\s+)?["']?(?:[\w.-]{1,40}:)?
        (?P<secret>[^\s"'|$]{4,200})["']?\s{0,3}\|\s{0,3}
        (?:sudo\s+(?:-\w{1,20}\s+){0,3}?-s|(?:sudo\s+)?(?:ch)?passwd|kinit
        |(?:docker|podman|helm\s+registry|gh\s+auth|vault)\s+login)
        """,
        _is_given,
    ),
    # machine ... login alice password ...
    form("password", "login ", r"login\s+\S{1,100}\s+password\s+(?P<secret>\S{3,200})", _is_given),
    form(
        "password",
        "login(|auth(|auth=(|credential(|credentials(|authentication(",
        rf"""\w+=?\(\s{{0,20}}["'][^"'\n]{{0,100}}["']\s{{0,3}},\s{{0,20}}{_QUOTED}""",
        _is_given,
    ),
    form(
        "password",
        "connect(|login(",
        rf"""(?:connect|login)\([^()\n]{{1,150}}?,\s{{0,20}}{_QUOTED}\s{{0,3}}\)""",
        looks_chosen,
    ),
    form(
        "password",
        "chpasswd|rabbitmqctl |lftp |ldappasswd",
        rf"""
        (?:chpasswd\s+<<<\s+["']?[\w.-]{{1,40}}:|rabbitmqctl\s+(?:add_user|change_password)\s+\S{{1,60}}\s
        |lftp\s+-u\s+[\w.-]{{1,40}},|ldappasswd{_ARGUMENTS}-s\s){_VALUE}
        """,
        _is_given,
    ),
    form(
        "secret",
        "config set |npm set |config --global |config http-basic.|configure set |user-secrets set ",
        rf"""
        (?:(?:config[ ]|p?npm[ ])set\s(?:-\S{{1,30}}\s|\S{{1,100}}[ :])?\S{{0,100}}?
          (?:_auth(?:token)?|_password|npmauth(?:token|ident))["']?
        |config\s(?:--\w{{1,20}}\s)?http-basic\.\S{{1,80}}\s\S{{1,80}}
        |config\s(?:--\w{{1,20}}\s)?\S{{1,40}}-(?:token|oauth)\.\S{{1,80}}
        |configure\sset\s\S{{0,60}}(?:secret|token)\w{{0,20}}
        |user-secrets\sset\s\S{{0,80}}(?:password|secret|token|key)["']?)(?:\s{{1,3}}|=){_VALUE}
        """,
        _is_given,
    ),
    form(
        "password",
        "sftp |ftp |ssh ",
        r"""
        (?<![\w./-])(?:s?ftp|ssh)\s(?:-\w{1,9}\s(?:[\w./]{1,60}\s)?){0,4}["']?[\w.-]{1,40}
        :(?P<secret>[^\s:@/"']{4,60})@[\w.-]
        """,
        looks_chosen,
    ),
    form(
        "token",
        "vault login ",
        rf"vault\slogin\s(?:-[\w-]{{1,30}}(?:=\S{{1,80}})?\s){{0,5}}(?:token=)?{_VALUE}",
        _is_alone,
    ),
    form(
        "secret",
        "kv put |vault write ",
        rf"""
        (?:kv[ ]put|vault[ ]write)\s(?:\S{{1,100}}\s){{1,8}}?[\w-]{{1,40}}=(?!\[redacted){_VALUE}
        """,
        looks_chosen,
    ),
    form(
        "password",
        "--with-token|--password-stdin|sudo -s|passwd ",
        rf"""
        (?:--with-token|--password-stdin|sudo\s-s|passwd\s[\w.-]{{0,40}})[^\n<|;&]{{0,60}}
        <<<\s{{0,3}}{_VALUE}
        """,
        _is_given,
    ),
    form(
        "password",
        "snmpwalk|snmpget|snmpset|snmpbulk|snmptrap|snmptable",
        rf"""
        snmp\w+{_ARGUMENTS}(?:-c|-[ax](?!\s?(?:md5|sha|des|aes)))[ ]?(?!public|private){_VALUE}
        """,
        _is_given,
    ),
    # A row into a table whose last column is the password.
    form(
        "password",
        "password",
        rf"password[\"'`]?\)\s+values\s+\([^()\n]{{0,200}}?{_QUOTED}\)",
        _is_given,
    ),
    form(
        "password",
        "identified by |masterauth|enable secret|enable password|snmp-server community "
        "|wpa_passphrase ",
        rf"""
        (?:identified[ ]by|masterauth|enable[ ](?:secret|password)|snmp-server[ ]community
        |wpa_passphrase\s+\S{{1,40}})\s+(?:\d\s+)?{_VALUE}
        """,
        looks_chosen,
    ),
    form(
        "password",
        "identified",
        rf"identified\s+(?:with\s+\S{{1,40}}\s+)?(?:by|as)\s+(?:password\s+)?{_QUOTED}",
        _is_given,
    ),
    form("password", "wifi:", r"wifi:[^\n]{0,100}?p:(?P<secret>[^;\n]{4,63});"),
    form(
        "secret",
        "secret set |secrets set |secret put ",
        rf"secrets?\s(?:set|put)\s+\S{{1,80}}\s+(?:--body|-b|--value|-v)[ =]{_VALUE}",
        _is_given,
    ),
    form(
        "password",
        "send ",
        r"""send\s+(?:--\s+)?["'](?P<secret>[^"'\n\\]{4,80})\\[rn]""",
        looks_chosen,
    ),
    form(
        "password",
        "convertto-securestring",
        rf"convertto-securestring\s+(?:-\w{{1,20}}\s+){{0,3}}{_QUOTED}",
        _is_given,
    ),
    # db.example.org:5432:shop:alice:..., a line of .pgpass
    form(
        "password",
        ":5432:|:5433:|:6432:|:6543:|:*:",
        r""":(?:\d{4}|\*):(?!\d+:)[\w*-]{1,60}:[\w.@*-]{1,60}:(?P<secret>[^\s:'"]{4,200})""",
        looks_chosen,
    ),
)
