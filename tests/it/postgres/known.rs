//! Outcomes are facts: each is recorded, once, whatever becomes of the server, of the node and of the answers between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use xixin::domain::ladder::Way;
use xixin::engine::sender;

use crate::support::hall::Hall;
use crate::support::http_server::{Act as HttpAct, HttpServer};
use crate::support::intake::{brief_visit, resident};
use crate::support::postgres::{PASSWORD, Server, address};
use crate::support::rulebook::at;
use crate::support::smtp_server::{Act, Script, SmtpServer, Verb};

const NOW: &str = "2026-03-02 10:00";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_that_came_while_the_server_was_gone_outlives_the_node() {
    let mut server = Server::start();
    let smtp = SmtpServer::start_each(vec![Script::polite().on(Verb::Dot, Act::Held), Script::polite()]).await;
    let hall = Hall::on_server_with(&server, NOW, |database| {
        let (address, port) = (address(database), smtp.port);
        format!("database = {address:?}\n[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {port}\nconnections = 1\n")
    })
    .await;
    brief_visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.plan().await;
    let (engine, recorder, now) = (hall.app.engine.clone(), hall.recorder.clone(), hall.now());
    let sending = tokio::spawn(async move { sender::step(&engine, Way::Email, &recorder, now).await });
    smtp.fell_silent().await;
    server.tell("immediate");
    smtp.let_go();
    smtp.took().await;
    while hall.app.engine.gate.storage_fault().is_none() {
        tokio::task::yield_now().await;
    }
    sending.abort();
    let _ = sending.await;
    let hall = hall.crash_and(|_| async { server.tell("start") }).await;
    let states = "select distinct state || ' ' || outcome || ' ' || crashes
                  from reminders join attempts on attempts.reminder_id = reminders.id";
    assert_eq!(hall.column(states).await, ["accepted accepted 0"]);
    hall.send().await;
    assert_eq!(smtp.received().len(), 1);
}

/// The first `commit` after these words on one connection is carried out; its answer never comes.
async fn line_that_loses_an_answer(port: u16, after: &'static [u8]) -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let at = listener.local_addr().unwrap().port();
    let has_lost = Arc::new(AtomicBool::new(false));
    let lost = Arc::clone(&has_lost);
    tokio::spawn(async move {
        while let Ok((node, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(carry(node, server, after, Arc::clone(&lost)));
        }
    });
    (at, has_lost)
}

async fn carry(node: TcpStream, server: TcpStream, after: &'static [u8], lost: Arc<AtomicBool>) {
    let ((mut from_node, mut to_node), (mut from_server, mut to_server)) = (node.into_split(), server.into_split());
    let loses = AtomicBool::new(false);
    let asks = async {
        let (mut said, mut bytes) = (Vec::new(), vec![0; 1 << 16]);
        while let Ok(count @ 1..) = from_node.read(&mut bytes).await {
            said.extend_from_slice(&bytes[..count]);
            let was_said = said.windows(after.len()).any(|words| words == after);
            if was_said && said.ends_with(b"commit\0") && !lost.swap(true, Ordering::SeqCst) {
                loses.store(true, Ordering::SeqCst);
            }
            to_server.write_all(&bytes[..count]).await.unwrap();
        }
    };
    let answers = async {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
            // The server has done it, and says so to nobody.
            if loses.load(Ordering::SeqCst) && bytes[..count].windows(7).any(|words| words == b"COMMIT\0") {
                return;
            }
            if to_node.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = asks => {}
        () = answers => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_although_nobody_said_so_is_not_written_twice() {
    let server = Server::start();
    let gateway = HttpServer::start(HttpAct::answer(200, r#"{"code": "1001"}"#)).await;
    let secrets = tempfile::tempdir().unwrap();
    let password = secrets.path().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let database = server.database().await;
    let (port, has_lost) = line_that_loses_an_answer(database.get_port(), b"as new (id, ended_ms, outcome").await;
    let (user, name, sms) = (database.get_username(), database.get_database().unwrap(), gateway.port);
    let settings = format!(
        "database = \"postgres://{user}@127.0.0.1:{port}/{name}\"\n[postgres]\npassword = {{ file = {password:?} }}\ntls = \"none\"\n\
         [sms]\ntransport = \"http\"\n[sms.http]\nmethod = \"POST\"\nurl = \"http://127.0.0.1:{sms}/send\"\n\
         body = '{{{{ text }}}}'\nsuccess = {{ status = [200], pointer = \"/code\", equals = \"0\" }}\nerrors = {{ \"1001\" = \"message\" }}\n"
    );
    let hall = Hall::on_database_with(database, NOW, &settings).await;
    let case = brief_visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.clock.set(at("2026-03-04 10:00"));
    hall.plan().await;
    assert_eq!(hall.send_by(Way::Sms).await, 1);
    assert!(has_lost.load(Ordering::SeqCst));
    let attempts = "select attempts.outcome || ' ' || state from attempts join reminders on reminders.id = reminder_id";
    assert_eq!(hall.column(attempts).await, ["refused refused"]);
    let refused = format!("select seq || '' from events where case_id = '{case}' and actor = 'xixin'");
    assert_eq!(hall.column(&refused).await.len(), 1);
    let counted = "select ended || ' ' || failed from guard_days where way = 'sms'";
    assert_eq!(hall.column(counted).await, ["1 1"]);
    let calls = format!("select id from reminders where case_id = '{case}' and way = 'phone'");
    assert_eq!(hall.column(&calls).await.len(), 1);
}

/// A server on which others meet us gives a whole transaction up: twice at each place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_the_server_gives_up_for_another_is_done_again_at_once() {
    let hall = Hall::on_postgres(NOW).await;
    let case = brief_visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.plan().await;
    hall.sql(
        "create function give_up() returns trigger language plpgsql as $$ begin
             if nextval(lower('tried_' || tg_table_name || '_' || tg_op)) <= 2 then
                 raise exception 'given up' using errcode = case tg_op when 'INSERT' then '40001' else '40P01' end;
             end if;
             return new;
         end $$;
         create sequence tried_cases_update; create sequence tried_cases_insert; create sequence tried_reminders_update;
         create sequence tried_attempts_insert; create sequence tried_attempts_update;
         create trigger give_up before insert or update on cases for each row execute function give_up();
         create trigger give_up before update on reminders for each row execute function give_up();
         create trigger give_up before insert or update on attempts for each row execute function give_up();",
    )
    .await;
    let note = json!({ "do": "contact", "direction": "in", "kind": "phone", "note": "x" });
    hall.act("lin", &case, note).await.unwrap();
    brief_visit(&hall, resident(2), "2026-03-05 14:30").await;
    let done = sender::step(&hall.app.engine, Way::Email, &hall.recorder, hall.now())
        .await
        .unwrap();
    assert_eq!((done.claimed, done.started), (1, 1));
    assert_eq!(hall.column("select outcome from attempts").await, ["accepted"]);
    assert!(hall.app.engine.gate.storage_fault().is_none());
    for place in [
        "cases_update",
        "cases_insert",
        "reminders_update",
        "attempts_insert",
        "attempts_update",
    ] {
        let tried = hall
            .column(&format!("select (last_value > 2) || '' from tried_{place}"))
            .await;
        assert_eq!(tried, ["true"], "{place}");
    }
}
