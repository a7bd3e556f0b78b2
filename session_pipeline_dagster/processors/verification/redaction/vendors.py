"""Tokens that say by their beginning whose they are.

Most would go by their randomness too (`tokens.py`). Here they have a name for it, and go however
short and regular they are.
"""

import re

# kind, beginnings, what follows.
_KINDS = (
    ("anthropic-key", "sk-ant-", r"[\w-]{16,}"),
    ("aws-key-id", "AKIA ASIA ABIA ACCA AROA AIDA AGPA", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", r"[A-Za-z0-9]{20,}"),
    ("github-token", "github_pat_", r"\w{22,}"),
    (
        "gitlab-token",
        "glpat- gldt- glrt- glcbt- glptt- glft- glsoat- glimt- glagent- gloas- glffct-",
        r"[\w-]{16,}(?:\.[\w-]+)*",
    ),
    (
        "slack-token",
        "xoxa- xoxb- xoxc- xoxd- xoxe- xoxe. xoxo- xoxp- xoxr- xoxs- xapp-",
        r"[\w.-]{10,}",
    ),
    (
        "stripe-key",
        "sk_live_ sk_test_ sk_prod_ rk_live_ rk_test_ pk_live_ pk_test_ whsec_",
        r"[A-Za-z0-9+/=]{10,}",
    ),
    ("google-key", "AIza", r"[\w-]{30,}"),
    ("google-token", "ya29. GOCSPX- AQ.", r"[\w.-]{20,}"),
    ("jwt", "eyJ", r"[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){0,3}"),
    ("sendgrid-key", "SG.", r"[\w-]{16,}\.[\w-]{16,}"),
    ("age-key", "AGE-SECRET-KEY-1 age-secret-key-1", r"[A-Za-z0-9]{20,}"),
    ("tailscale-key", "tskey-", r"[a-z]{2,10}-[A-Za-z0-9]+-[A-Za-z0-9]{8,}"),
    (
        "vendor-token",
        "pat-na1- pat-na2- pat-eu1- sk-lf- sdk- HRKU- access-sandbox- access-production-",
        r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}",
    ),
    ("vendor-token", "rzp_live_ rzp_test_ npg_ sm_aat_ sm_pat_ sm_sat_", r"[A-Za-z0-9]{12,}"),
    # So much without a break and with a digit in it is none of the words of `hf_hub_download`.
    (
        "vendor-token",
        """npm_ pypi- hf_ dop_v1_ doo_v1_ dor_v1_ hvs. hvb. hvr. glsa_ glc_ lin_api_ lin_oauth_ ntn_
        secret_ shpat_ shpca_ shppa_ shpss_ NRAK- NRII- PMAK- ATATT3 ATCTT3 ATBB dp.pt. dp.st.
        dp.ct. dp.sa. pul- pscale_tkn_ pscale_pw_ pscale_oauth_ sbp_ gsk_ xai- r8_ pplx- figd_ dapi
        key- sl. cfpat- CFPAT- rubygems_ phc_ phx_ sntrys_ sntryu_ fo1_ fm1r_
        fm1a_ fm2_ tvly- tvly-dev- tvly-prod- pcsk_ csk- sq0atp- sq0csp- EAAA dckr_pat_ dckr_oat_
        nvapi- wandb_v1_ vcp_ vck_ nfp_ nfc_ ABSK GR1348941 xkeysib- xsmtpsib- squ_ sqp_ sqa_ sgp_
        bkua_ oy2 cio AKCp cmVmd LTAI AKID dt0c01. duffel_live_ duffel_test_ EZAK EZTK shippo_live_
        pnu_ pnb_ dbtc_ dbtu_ hcaik_ nsec1 xprv rdme_ mlsn. esecret_ rpa_ p8e- lsv2_pt_ lsv2_sk_ sk-
        sk-or-v1- sk-proj- rnd_ napi_ tfp_ CLOJARS_ clojars_""",
        r"(?=[A-Za-z]{0,40}\d)[A-Za-z0-9]{20,}[\w.=-]*",
    ),
)
_ANY = re.compile(
    "|".join(
        f"(?P<_{number}>(?:{'|'.join(map(re.escape, beginnings.split()))}){rest})"
        for number, (_, beginnings, rest) in enumerate(_KINDS)
    )
)
_HEAD = 3
_HEADS = {word[:_HEAD] for _, beginnings, _ in _KINDS for word in beginnings.split()}


def vendor_token(text: str, start: int, end: int) -> tuple[int, str] | None:
    """The end and the kind of the token at `start`, if its beginning says what it is."""
    if text[start : start + _HEAD] not in _HEADS:
        return None
    found = _ANY.match(text, start, end)
    if found is None or found.lastgroup is None:
        return None
    return found.end(), _KINDS[int(found.lastgroup[1:])][0]
