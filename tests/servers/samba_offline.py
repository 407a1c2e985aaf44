"""Works on a domain controller's files with Samba's own library, under the system's Python.

samba_offline.py provision FOLDER        company as JSON on standard input
samba_offline.py age-password FOLDER DN DAYS
samba_offline.py keytab FOLDER PRINCIPAL FILE
"""

import datetime
import json
import logging
import os
import subprocess
import sys

import ldb
import samba.provision
from samba.auth import system_session
from samba.dcerpc import security
from samba.ndr import ndr_pack, ndr_unpack
from samba.param import LoadParm
from samba.samdb import SamDB

EPOCH = datetime.datetime(1601, 1, 1, tzinfo=datetime.timezone.utc)  # noqa: UP017 - any Python 3
BYPASS_PWD_LAST_SET = "local_oid:1.3.6.1.4.1.7165.4.3.20:0"


def filetime(days_ago: float) -> str:
    """A Windows FILETIME that many days ago."""
    instant = datetime.datetime.now(EPOCH.tzinfo) - datetime.timedelta(days=days_ago)
    return str(int((instant - EPOCH).total_seconds() * 10**7))


def open_database(folder: str) -> SamDB:
    """The domain's database, as the system."""
    parameters = LoadParm()
    parameters.load(os.path.join(folder, "etc/smb.conf"))
    return SamDB(
        url=os.path.join(folder, "private/sam.ldb"), session_info=system_session(), lp=parameters
    )


def age_password(database: SamDB, dn: str, days: float) -> None:
    """Set pwdLastSet into the past, which LDAP does not allow."""
    message = ldb.Message(ldb.Dn(database, dn))
    message["pwdLastSet"] = ldb.MessageElement(filetime(days), ldb.FLAG_MOD_REPLACE, "pwdLastSet")
    database.modify(message, controls=[BYPASS_PWD_LAST_SET])


def add_account(database: SamDB, account: dict) -> None:
    """One person or service account."""
    values = {name: value for name, value in account["attributes"].items() if value}
    database.add(
        {
            "dn": account["dn"],
            "objectClass": "user",
            "unicodePwd": f'"{account["password"]}"'.encode("utf-16-le"),
            **values,
        }
    )
    state = account["state"]
    changes = {
        "disabled": {"userAccountControl": "514"},
        "expired": {"accountExpires": filetime(1)},
        "must-change": {"pwdLastSet": "0"},
        "no-hours": {"logonHours": b"\0" * 21},
        "workstation": {"userWorkstations": "PC1,PC2"},
    }.get(state, {})
    changes.setdefault("userAccountControl", "512")
    message = ldb.Message(ldb.Dn(database, account["dn"]))
    for name, value in changes.items():
        message[name] = ldb.MessageElement(value, ldb.FLAG_MOD_REPLACE, name)
    database.modify(message)


def add_members(database: SamDB, group: str, members: list) -> None:
    """Members by DN; the same as what an administrator's tool sends."""
    message = ldb.Message(ldb.Dn(database, group))
    message["member"] = ldb.MessageElement(members, ldb.FLAG_MOD_ADD, "member")
    database.modify(message)


def set_primary_group(database: SamDB, dn: str, group: str) -> None:
    """Move the person's primary group; the old one becomes an ordinary membership."""
    sid = ndr_unpack(
        security.dom_sid, database.search(group, scope=0, attrs=["objectSid"])[0]["objectSid"][0]
    )
    message = ldb.Message(ldb.Dn(database, dn))
    message["primaryGroupID"] = ldb.MessageElement(
        str(sid).rsplit("-", 1)[1], ldb.FLAG_MOD_REPLACE, "primaryGroupID"
    )
    database.modify(message)


def grant_deleted_objects(database: SamDB, base: str, dn: str) -> None:
    """Let an ordinary account see deletions: list and read on CN=Deleted Objects."""
    domain = security.dom_sid(database.get_domain_sid())
    account = database.search(dn, scope=0, attrs=["objectSid"])[0]
    sid = ndr_unpack(security.dom_sid, account["objectSid"][0])
    found = database.search(
        f"CN=Deleted Objects,{base}",
        scope=0,
        attrs=["nTSecurityDescriptor"],
        controls=["show_deleted:1", "sd_flags:1:7"],
    )
    descriptor = ndr_unpack(security.descriptor, found[0]["nTSecurityDescriptor"][0])
    for ace in security.descriptor.from_sddl(f"D:(A;CI;RPLC;;;{sid})", domain).dacl.aces:
        descriptor.dacl_add(ace)
    message = ldb.Message(found[0].dn)
    message["nTSecurityDescriptor"] = ldb.MessageElement(
        ndr_pack(descriptor), ldb.FLAG_MOD_REPLACE, "nTSecurityDescriptor"
    )
    database.modify(message, controls=["show_deleted:1", "sd_flags:1:4"])


def add_short_lived_policy(database: SamDB, base: str, members: list) -> None:
    """A fine-grained policy whose passwords expire after 30 days, for these accounts."""
    database.add(
        {
            "dn": f"CN=ExpiresSoon,CN=Password Settings Container,CN=System,{base}",
            "objectClass": "msDS-PasswordSettings",
            "msDS-PasswordSettingsPrecedence": "10",
            "msDS-PasswordReversibleEncryptionEnabled": "FALSE",
            "msDS-PasswordHistoryLength": "0",
            "msDS-PasswordComplexityEnabled": "FALSE",
            "msDS-MinimumPasswordLength": "8",
            "msDS-MinimumPasswordAge": "0",
            "msDS-MaximumPasswordAge": str(-30 * 86400 * 10**7),
            "msDS-LockoutThreshold": "0",
            "msDS-LockoutObservationWindow": str(-30 * 60 * 10**7),
            "msDS-LockoutDuration": str(-30 * 60 * 10**7),
            "msDS-PSOAppliesTo": members,
        }
    )


def populate(folder: str, company: dict) -> None:
    """Everything of the company, in one transaction."""
    database = open_database(folder)
    base = company["base"]
    database.transaction_start()
    for dn in company["units"]:
        database.add({"dn": dn, "objectClass": "organizationalUnit"})
    for account in company["accounts"]:
        add_account(database, account)
    for group in company["groups"]:
        values = {name: value for name, value in group["attributes"].items() if value}
        database.add({"dn": group["dn"], "objectClass": "group", **values})
    for group in company["groups"]:
        if group["members"]:
            add_members(database, group["dn"], group["members"])
    for dn, group in company["primary_groups"]:
        set_primary_group(database, dn, group)
    grant_deleted_objects(database, base, company["tracker"])
    expired = [one["dn"] for one in company["accounts"] if one["state"] == "password-expired"]
    add_short_lived_policy(database, base, expired)
    for dn in expired:
        age_password(database, dn, 100)
    database.transaction_commit()


def provision(folder: str) -> None:
    """A new domain, populated."""
    company = json.load(sys.stdin)
    for name in ("run", "log"):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
    parameters = LoadParm()
    parameters.load("/dev/null")
    parameters.set("realm", company["realm"])
    parameters.set("workgroup", company["netbios"])
    parameters.set("ldb:nosync", "true")
    samba.provision.provision(
        logging.getLogger(),
        system_session(),
        targetdir=folder,
        realm=company["realm"],
        domain=company["netbios"],
        hostname="dc1",
        hostip="127.0.0.1",
        adminpass=company["admin_password"],
        serverrole="dc",
        dns_backend="NONE",
        use_rfc2307=True,
        lp=parameters,
        skip_sysvolacl=True,
        dom_for_fun_level=samba.provision.DS_DOMAIN_FUNCTION_2008_R2,
    )
    populate(folder, company)


def main(arguments: list) -> None:
    """One command."""
    command, folder, *rest = arguments
    if command == "provision":
        provision(folder)
    elif command == "age-password":
        age_password(open_database(folder), rest[0], float(rest[1]))
    elif command == "keytab":
        subprocess.run(
            [
                *("samba-tool", "domain", "exportkeytab", rest[1], f"--principal={rest[0]}"),
                *("-s", os.path.join(folder, "etc/smb.conf")),
            ],
            check=True,
        )
    else:
        raise SystemExit(f"unknown command {command}")


if __name__ == "__main__":
    main(sys.argv[1:])
