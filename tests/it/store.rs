//! The database: made from nothing, refused when it is newer, shared by several processes, readable around a bad row.

use std::path::Path;

use xixin::store::{Store, StoreError};

use crate::support::hall::Hall;
use crate::support::masters;

async fn fresh(dir: &Path) -> Store {
    Store::open(&dir.join("deep/er/xixin.db"), &masters()).await.unwrap()
}

#[tokio::test]
async fn a_database_is_made_from_nothing_and_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = fresh(dir.path()).await;
    store.can_write().await.unwrap();
    assert_eq!(store.meta("write_probe").await.unwrap().as_deref(), Some("1"));
    store.close().await;
    let store = fresh(dir.path()).await;
    assert_eq!(store.meta("write_probe").await.unwrap().as_deref(), Some("1"));
}

#[tokio::test]
async fn two_processes_may_make_one_database_at_the_same_moment() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("xixin.db");
        let keys = masters();
        let (one, other) = tokio::join!(Store::open(&path, &keys), Store::open(&path, &keys));
        let (one, other) = (one.unwrap(), other.unwrap());
        one.can_write().await.unwrap();
        other.can_write().await.unwrap();
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_by_name() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let path = hall.app.engine.store.path().to_owned();
    hall.sql("insert into _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) values (9999, 'later', 0, 1, x'00', 0)")
        .await;
    let refused = Store::open(&path, &masters()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Newer { version: 9999, .. }), "{refused}");
    assert!(refused.to_string().contains("was written by a newer xixin"));
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("xixin.db");
    std::fs::write(&path, "这不是数据库".repeat(1000)).unwrap();
    assert!(Store::open(&path, &masters()).await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "这不是数据库".repeat(1000));
}
