"""The schema of a database as lines of text, so that two databases can be compared."""

from __future__ import annotations

from datastore.db.queries import fetch_all

# What belongs to an extension is its own business. Columns are numbered without the places of dropped ones.
PARTS = {
    "relation": """
        select c.relname, c.relkind, c.relpersistence, c.reloptions, pg_get_viewdef(c.oid)
          from pg_class c where {ours:c} and c.relkind <> 'i'""",
    "column": """
        select c.relname, row_number() over (partition by c.oid order by a.attnum), a.attname,
               format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity,
               a.attgenerated, l.collname, a.attstorage, a.attcompression, a.attoptions
          from pg_class c
          join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
          left join pg_collation l on l.oid = a.attcollation
         where {ours:c} and c.relkind <> 'i'""",
    "index": """
        select pg_get_indexdef(c.oid), c.reloptions, i.indisvalid, i.indisclustered, i.indisreplident
          from pg_class c join pg_index i on i.indexrelid = c.oid where {ours:c}""",
    "constraint": """
        select n.conrelid::regclass::text, n.conname, n.contype, pg_get_constraintdef(n.oid), n.convalidated
          from pg_constraint n join pg_class c on c.oid = n.conrelid where {ours:c}""",
    "trigger": """
        select pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = t.tgrelid
         where {ours:c} and not t.tgisinternal""",
    "sequence": """
        select c.relname, format_type(s.seqtypid, null), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle,
               (select d.refobjid::regclass::text from pg_depend d
                 where d.objid = c.oid and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i'))
          from pg_class c join pg_sequence s on s.seqrelid = c.oid where {ours:c}""",
    "function": """
        select pg_get_functiondef(p.oid) from pg_proc p where {ours:p}""",
    "comment": """
        select p.oid::regprocedure::text, d.description
          from pg_proc p join pg_description d on d.objoid = p.oid and d.classoid = 'pg_proc'::regclass where {ours:p}
        union all
        select c.relname, d.description
          from pg_class c join pg_description d on d.objoid = c.oid and d.classoid = 'pg_class'::regclass
         where {ours:c}""",
}
NAMESPACES = {"c": "c.relnamespace", "p": "p.pronamespace"}
OURS = """{namespace} = current_schema()::regnamespace
    and not exists (select from pg_depend e where e.objid = {alias}.oid and e.deptype = 'e')"""


def schema() -> list[str]:
    """Return a line for each table, column, index, constraint, trigger, sequence, function and comment, sorted."""
    lines = []
    for part, text in PARTS.items():
        for alias, namespace in NAMESPACES.items():
            text = text.replace("{ours:" + alias + "}", OURS.format(alias=alias, namespace=namespace))
        lines += [f"{part}: {' | '.join(map(str, row))}" for row in fetch_all(text)]
    return sorted(lines)
