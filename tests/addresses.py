"""Databases as people name them wrongly: what is said of each, and what none of them may ever repeat."""

from __future__ import annotations

# Parts of the passwords below, and of what a shell would have made of them.
SECRETS = ("pa@", "p%40ss", "ss#w", "rd@", "secret")

# (what was typed, words of the complaint as a regular expression)
WRONG = (
    ("postgresql://optuna:pa@ss#w/rd@db.example:5432/optuna", "one @"),
    ("postgresql://optuna:secret@db.example:port/optuna", "port of a database URL must be a number"),
    ("postgresql://optuna:secret@db.example:/optuna", "port of a database URL must be a number"),
    ("postgresql://optuna:secret@one:5432,other:5432/optuna", "port of a database URL must be a number"),
    ("postgresql://optuna:secret/optuna", "port of a database URL must be a number"),
    ("mysql://root:p%40ss@localhost:${MYSQL_PORT}/optuna", "port of a database URL must be a number"),
    ("postgresql://optuna:secret@db.example:99999/optuna", "between 1 and 65535"),
    ("postgresql://optuna:secret@${HOST}/optuna", "variable of the shell stands in the host"),
    ("postgresql://optuna:secret@db.example/${NAME}", "variable of the shell stands in the database"),
    ("postgresql://op/tuna:secret@db.example/optuna", "a / of the role or the password as %2F"),
    ("postgresql://optuna:secret@db.example", "must name a database"),
    ("mysql://root:secret@localhost/optuna", "no driver for 'mysql'"),
    ("postgresql+nothing://root:secret@localhost/optuna", r"no driver for 'postgresql\+nothing'"),
    ("jdbc:postgresql://root:secret@localhost/optuna", "this is neither"),
    ("://root:secret@localhost", "this is neither"),
    ("postgresql:optuna:secret@db.example/optuna", ":// after its kind"),
    ("postgresql:/optuna:secret@db.example/optuna", ":// after its kind"),
    ("sqlite:study.db", ":// after its kind"),
    ("optuna:secret@db.example:5432/optuna", "a URL without its kind"),
    ("optuna:sec/ret@db.example", "a URL without its kind"),
    ("sqlite://runs/mine/study.db", r"Write sqlite:///runs/mine/study\.db\."),
    ("sqlite://study.db", r"Write sqlite:///study\.db\."),
    ("sqlite://me:secret@/study.db", r"Write sqlite:///PATH\."),
    ("sqlite://C:\\Users\\me\\study.db", r"three slashes"),
    ("sqlite:///C:\\Users\\me\\runs\\study.db", "a path of Windows"),
    ("sqlite:///C:/Users/me/runs/study.db", "a path of Windows"),
    ("C:\\Users\\me\\runs\\study.db", "a path of Windows"),
    ("sqlite:///study.db?timeout=60", "timeout would have no effect"),
    ("sqlite:///${RUNS}/study.db", "variable of the shell stands in this path"),
    ("${RUNS}/study.db", "variable of the shell stands in this path"),
    ("sqlite:///", "must name a file"),
    ("sqlite://", "must name a file"),
    ("sqlite://:memory:", "must name a file"),
)
