"""What a database that is spread by store over many servers asks of tables and statements.

conftest.py holds the whole suite to it: `watch` reads every statement that the system sends, `ONE_STORE` is a trigger on every
table of store data, and `saved` sees each row that is saved. What they find is in `found`, and fails the test that did it.
"""

import re
import sys
from functools import cache, lru_cache
from pathlib import Path

from django.apps import apps
from pglast import ast, enums, parse_sql
from pglast.visitors import Visitor

from stores.models import Store

ROOT = Path(__file__).resolve().parent.parent.parent
# Tables that name a store and are yet no data of one. Each shard has a copy of the first two, as of people, keys and goods.
SHARED = {
    "stores_membership": "who works where is asked by user, before anybody knows in which store",
    "stores_apikey_stores": "which stores a key may see is asked by key, before anybody knows in which store",
    "reports_closeddays": "which days are summed up: one job goes over many stores, each sum over stores is written once",
    "reports_storeday": "the sums that this job makes of daily stock, and could make anew anywhere",
    "reports_categoryday": "as the days of stores: made by the same job",
    "reports_latefigures": "what came late to these sums, until the job has taken it in",
    "stores_change": "the feed is one list in one order over all stores and the catalogue (docs/ledger.md)",
}
# What the system did against the rules in the test that runs now.
found: list[str] = []


@cache
def store_data() -> dict[str, type]:
    """The tables whose rows belong to one store each, with their models: all with a key to a store but those SHARED."""
    models = apps.get_models(include_auto_created=True)
    ours = {
        model._meta.db_table: model
        for model in models
        if any(field.related_model is Store for field in model._meta.concrete_fields)
    }
    return {table: model for table, model in ours.items() if table not in SHARED}


# -- By its text: what is changed or locked is bound to one store

PLACEHOLDER = re.compile(r"%(?:\(\w+\)s|s|%)")
WRITES = re.compile(r"\b(update|delete|merge|for\s+(no\s+key\s+)?(update|share)|for\s+key\s+share)\b", re.I)


@lru_cache(2000)
def unbound(statement: str, inside: bool = False) -> tuple[str, ...]:
    """The tables of store data of which `statement` changes, deletes or locks rows without `store_id = <one value>`.

    A value is a parameter or a constant; `inside` a function also one of its variables, or a column of another table.
    """
    if not (WRITES.search(statement) and any(table in statement for table in store_data())):
        return ()
    text = PLACEHOLDER.sub(lambda place: "%" if place[0] == "%%" else "$1", statement)
    reader = Reader(inside)
    reader(parse_sql(text))
    return tuple(reader.loose)


class Reader(Visitor):
    """Walks through a statement, also into its WITH and what stands in brackets."""

    def __init__(self, inside: bool):
        self.inside, self.loose = inside, []

    def check(self, table: ast.RangeVar, where) -> None:
        name = table.alias.aliasname if table.alias else table.relname
        if table.relname in store_data() and not any(self.binds(each, name) for each in conjuncts(where)):
            self.loose.append(table.relname)

    def binds(self, condition, name: str) -> bool:
        if (
            not isinstance(condition, ast.A_Expr)
            or condition.kind != enums.A_Expr_Kind.AEXPR_OP
            or condition.name[0].sval != "="
        ):
            return False
        for column, value in (
            (condition.lexpr, condition.rexpr),
            (condition.rexpr, condition.lexpr),
        ):
            if column_of(column) in ((name, "store_id"), ("", "store_id")) and self.is_value(value, name):
                return True
        return False

    def is_value(self, value, name: str) -> bool:
        while isinstance(value, ast.TypeCast):
            value = value.arg
        if self.inside and isinstance(value, ast.ColumnRef):
            return column_of(value)[0] != name
        return isinstance(value, ast.ParamRef | ast.A_Const)

    def visit_UpdateStmt(self, ancestors, node):
        self.check(node.relation, node.whereClause)

    def visit_DeleteStmt(self, ancestors, node):
        self.check(node.relation, node.whereClause)

    def visit_MergeStmt(self, ancestors, node):
        self.check(node.relation, None)

    def visit_SelectStmt(self, ancestors, node):
        for locking in node.lockingClause or ():
            only = {each.relname for each in locking.lockedRels or ()}
            for table in tables_of(node.fromClause):
                if not only or (table.alias.aliasname if table.alias else table.relname) in only:
                    self.check(table, node.whereClause)


def conjuncts(where) -> list:
    """The conditions that all have to hold."""
    if isinstance(where, ast.BoolExpr) and where.boolop == enums.BoolExprType.AND_EXPR:
        return [each for part in where.args for each in conjuncts(part)]
    return [where] if where is not None else []


def column_of(node) -> tuple[str, str]:
    """(table or "", column) that an expression is; two empty words where it is none."""
    if not isinstance(node, ast.ColumnRef) or not all(isinstance(each, ast.String) for each in node.fields):
        return "", ""
    names = [each.sval for each in node.fields]
    return (names[-2] if len(names) > 1 else ""), names[-1]


def tables_of(source) -> list[ast.RangeVar]:
    """The tables that stand in FROM, joined or not."""
    if isinstance(source, ast.RangeVar):
        return [source]
    if isinstance(source, ast.JoinExpr):
        return tables_of(source.larg) + tables_of(source.rarg)
    return [table for each in source or () for table in tables_of(each)] if isinstance(source, tuple) else []


def asked_from() -> str | None:
    """The line of the system that is at work; None for what a test does by itself."""
    frame = sys._getframe(1)
    while frame := frame.f_back:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(ROOT) and "site-packages" not in file.parts and file != Path(__file__):
            ours = "tests" not in file.parts and file.name != "conftest.py"
            return f"{file.relative_to(ROOT)}:{frame.f_lineno}" if ours else None
    return None


def read(execute, statement, params, many, context):
    """Wraps the cursors of every connection."""
    for table in unbound(str(statement)):
        if line := asked_from():
            found.append(f"{line} writes or locks {table} without naming the store: {statement}")
    try:
        return execute(statement, params, many, context)
    except Exception as error:
        if TOLD in str(error):
            found.append(f"{asked_from()}: {error}")
        raise


def watch(connection, **kwargs) -> None:
    """Reads along with a new connection. In front: who comes later takes himself off the end of this list."""
    if read not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, read)


# -- By its effect: one statement, with all that triggers add to it, writes rows of one store

TOLD = "One statement wrote rows of several stores"
# statement_timestamp() is that of what the client sent, also in the triggers that it sets off.
ONE_STORE = f"""
CREATE OR REPLACE FUNCTION tests_one_store() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  stores bigint[];
  earlier text := coalesce(current_setting('tests.wrote', true), '');
  statement text := extract(epoch FROM statement_timestamp())::text;
BEGIN
  IF TG_OP = 'INSERT' THEN stores := ARRAY(SELECT DISTINCT store_id FROM came);
  ELSIF TG_OP = 'DELETE' THEN stores := ARRAY(SELECT DISTINCT store_id FROM went);
  ELSE stores := ARRAY(SELECT store_id FROM came UNION SELECT store_id FROM went);
  END IF;
  IF split_part(earlier, ' ', 1) = statement THEN
    stores := ARRAY(SELECT DISTINCT unnest(stores || split_part(earlier, ' ', 2)::bigint));
  END IF;
  IF cardinality(stores) > 1 THEN
    RAISE EXCEPTION '{TOLD} (%, in the end to %): %', stores, TG_TABLE_NAME, current_query();
  ELSIF cardinality(stores) = 1 THEN
    PERFORM set_config('tests.wrote', statement || ' ' || stores[1], true);
  END IF;
  RETURN NULL;
END $$
"""
EVENTS = {
    "INSERT": "NEW TABLE AS came",
    "UPDATE": "OLD TABLE AS went NEW TABLE AS came",
    "DELETE": "OLD TABLE AS went",
}


def guard(cursor) -> None:
    """Puts ONE_STORE on every table of store data of the test database."""
    cursor.execute(ONE_STORE)
    for table in store_data():
        for event, rows in EVENTS.items():
            cursor.execute(
                f"CREATE OR REPLACE TRIGGER tests_one_store_{event.lower()} AFTER {event} ON {table} REFERENCING {rows} "
                "FOR EACH STATEMENT EXECUTE FUNCTION tests_one_store()"
            )


# -- Rows: never saved whole


def saved(sender, instance, raw, update_fields, **kwargs) -> None:
    """Receives Django's pre_save: what is in a store is changed by the columns that change."""
    whole = not instance._state.adding and update_fields is None
    if whole and sender._meta.db_table in store_data() and (line := asked_from()):
        found.append(f"{line} saves a whole row of {sender._meta.db_table}")
