//! Both schemas are one: the same tables, columns, keys and indexes, made by migrations of the same names.

use std::collections::BTreeSet;
use std::path::Path;

use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;

use crate::postgres::{POSTGRES, SQLITE, both};

/// `table.column type [not null] [default …]`, and `table: unique (columns)`, of everything that is ours.
type Shape = BTreeSet<String>;

async fn of_sqlite(connection: &mut SqliteConnection) -> Shape {
    const COLUMNS: &str = "
        select t.name || '.' || c.name || ' ' || case lower(c.type) when 'integer' then 'bigint' else lower(c.type) end
               || case when c.\"notnull\" or c.pk > 0 then ' not null' else '' end
               || coalesce(' default ' || c.dflt_value, '')
        from sqlite_schema as t, pragma_table_info(t.name) as c
        where t.type = 'table' and t.name not like 'sqlite%' and t.name <> '_sqlx_migrations'";
    // What an integer is the key of needs no index in SQLite.
    const KEYS: &str = "
        select t.name || ': unique (' || (select group_concat(name, ',') from (select name from pragma_index_info(i.name) order by seqno)) || ')'
        from sqlite_schema as t, pragma_index_list(t.name) as i
        where t.type = 'table' and t.name not like 'sqlite%' and t.name <> '_sqlx_migrations' and i.\"unique\"
        union all
        select t.name || ': unique (' || c.name || ')'
        from sqlite_schema as t, pragma_table_info(t.name) as c
        where t.type = 'table' and t.name not like 'sqlite%' and lower(c.type) = 'integer' and c.pk = 1";
    const INDEXES: &str = "
        select tbl_name || ': index ' || name || case when sql like '% where %' then ' of some rows' else '' end
        from sqlite_schema
        where type = 'index' and sql is not null";
    let mut shape = Shape::new();
    for sql in [COLUMNS, KEYS, INDEXES] {
        let lines: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *connection).await.unwrap();
        shape.extend(lines);
    }
    shape
}

async fn of_postgres(connection: &mut PgConnection) -> Shape {
    const COLUMNS: &str = "
        select t.relname || '.' || c.attname || ' ' || format_type(c.atttypid, null)
               || case when c.attnotnull then ' not null' else '' end
               || coalesce(' default ' || regexp_replace(pg_get_expr(d.adbin, d.adrelid), '''(\\d+)''::bigint|::text', '\\1', 'g'), '')
        from pg_class as t
        join pg_attribute as c on c.attrelid = t.oid and c.attnum > 0 and not c.attisdropped
        left join pg_attrdef as d on d.adrelid = t.oid and d.adnum = c.attnum
        where t.relkind = 'r' and t.relnamespace = current_schema()::regnamespace and t.relname <> '_sqlx_migrations'";
    const KEYS: &str = "
        select t.relname || ': unique (' || (
            select string_agg(c.attname, ',' order by k.place)
            from unnest(i.indkey) with ordinality as k (number, place)
            join pg_attribute as c on c.attrelid = t.oid and c.attnum = k.number) || ')'
        from pg_index as i
        join pg_class as t on t.oid = i.indrelid
        where i.indisunique and t.relnamespace = current_schema()::regnamespace and t.relname <> '_sqlx_migrations'";
    const INDEXES: &str = "
        select t.relname || ': index ' || n.relname || case when i.indpred is not null then ' of some rows' else '' end
        from pg_index as i
        join pg_class as t on t.oid = i.indrelid
        join pg_class as n on n.oid = i.indexrelid
        where not i.indisunique and t.relnamespace = current_schema()::regnamespace";
    let mut shape = Shape::new();
    for sql in [COLUMNS, KEYS, INDEXES] {
        let lines: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *connection).await.unwrap();
        shape.extend(lines);
    }
    shape
}

#[tokio::test]
async fn both_databases_have_the_same_tables_columns_keys_and_indexes() {
    let (mut sqlite, mut postgres) = both().await;
    let (sqlite, postgres) = (of_sqlite(&mut sqlite).await, of_postgres(&mut postgres).await);
    for expected in [
        "cases.wake_ms bigint",
        "cases.live bigint not null default 1",
        "events.kind text not null default 'fact'",
        "events.seq bigint not null",
        "events: unique (seq)",
        "reminders: unique (case_id,mark,recipient,way)",
        "reminders: index reminders_queue of some rows",
    ] {
        assert!(sqlite.contains(expected), "{expected} is not in {sqlite:#?}");
    }
    let only = |one: &Shape, other: &Shape| one.difference(other).cloned().collect::<Vec<_>>();
    assert_eq!(only(&sqlite, &postgres), [] as [&str; 0], "only in SQLite");
    assert_eq!(only(&postgres, &sqlite), [] as [&str; 0], "only in PostgreSQL");
}

#[tokio::test]
async fn texts_are_compared_by_their_bytes_whatever_the_locale_of_the_server() {
    const OTHERS: &str = "
        select t.relname || '.' || c.attname
        from pg_class as t
        join pg_attribute as c on c.attrelid = t.oid and c.attnum > 0 and not c.attisdropped
        where t.relkind = 'r' and t.relnamespace = current_schema()::regnamespace and t.relname <> '_sqlx_migrations'
          and c.atttypid = 'text'::regtype and c.attcollation <> '\"C\"'::regcollation";
    let (_, mut postgres) = both().await;
    let others: Vec<String> = sqlx::query_scalar(OTHERS).fetch_all(&mut postgres).await.unwrap();
    assert_eq!(others, [] as [&str; 0]);
}

#[test]
fn migrations_have_the_same_names_and_make_indexes_by_the_same_words() {
    let names = |migrations: &sqlx::migrate::Migrator| -> Vec<(i64, String)> {
        let named = migrations.iter().map(|one| (one.version, one.description.to_string()));
        named.collect()
    };
    assert_eq!(names(&SQLITE), names(&POSTGRES));
    let indexes = |database: &str| -> Vec<String> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(database);
        let mut files: Vec<_> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let text: String = files
            .iter()
            .map(|file| std::fs::read_to_string(file).unwrap())
            .collect();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("--"));
        let text = lines.collect::<Vec<_>>().join(" ");
        let statements = text
            .split(';')
            .map(|one| one.split_whitespace().collect::<Vec<_>>().join(" "));
        statements.filter(|one| one.contains(" index ")).collect()
    };
    let sqlite = indexes("sqlite");
    assert!(sqlite.len() > 40, "{sqlite:#?}");
    assert_eq!(sqlite, indexes("postgres"));
}
