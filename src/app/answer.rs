//! What the running daemon answers: status, reload, pause and resume, hold and release.

use std::time::Instant;

use serde_json::{Value, json};
use tracing::{error, info};

use crate::app::{App, rules_for_service};
use crate::config;
use crate::config::problem::{Problem, Problems};
use crate::control::{Answer, Request};
use crate::domain::text::{Said, said};
use crate::engine::nodes;
use crate::engine::status::status;
use crate::engine::test_message::{Tested, send_test};
use crate::lifecycle::notify;
use crate::store::StoreError;
use crate::store::switches::ALL;

/// Letters of a reason or a name at the most.
const TEXT_MAX: usize = 200;

impl App {
    /// Builds a whole new set of rules and swaps it in, or changes nothing and says why. One at a time.
    pub async fn reload(&self) -> Result<i64, Problems> {
        let _turn = self.reloading.lock().await;
        // Reading and rendering every text takes a moment, and must not keep a loop from coming round.
        let place = self.place.clone();
        let (loaded, texts) = tokio::task::spawn_blocking(move || place.load()).await.map_err(|_| {
            self.general(said!(
                "检查本身出错,这是 xixin 的缺陷;请看日志",
                "the check itself failed, which is a fault of xixin; see the log"
            ))
        })??;
        let refused = config::boot_only_changes(&self.settings, &loaded);
        if !refused.is_empty() {
            return Err(Problems::new(refused));
        }
        let fresh = rules_for_service(&self.place, loaded, texts, &self.engine.store)
            .await
            .map_err(|error| {
                error.downcast().unwrap_or_else(|error| {
                    let why = format!("{error:#}");
                    error!("the new rules cannot be put in force: {why}");
                    self.general(Said::parse(&why))
                })
            })?;
        let (old, generation) = (self.engine.live.get(), fresh.generation);
        // Whoever mended a provider's settings wants it tried now.
        if old.settings.mail != fresh.settings.mail {
            self.engine.breakers.email.forget();
        }
        self.engine.breakers.email.keep(&fresh);
        if old.settings.sms != fresh.settings.sms {
            self.engine.breakers.sms.answered();
        }
        self.engine.live.swap(fresh);
        self.engine.bells.ring_all();
        Ok(generation)
    }

    fn general(&self, what: Said) -> Problems {
        Problems::new(vec![Problem::general(&self.place.config, what)])
    }

    /// Reloads, and tells the log, the service manager and whoever asked.
    pub(super) async fn reload_and_tell(&self) -> Answer {
        notify::reloading();
        let answer = match self.reload().await {
            Ok(generation) => {
                let rules = self.engine.live.get().fingerprint.clone();
                info!(generation, rules, "new rules are in force");
                Answer::ok(
                    format!("新规则已生效(第{generation}代 {})", &rules[..12]),
                    format!("the new rules are in force (generation {generation}, {})", &rules[..12]),
                    json!({ "generation": generation, "rules": rules }),
                )
            }
            Err(problems) => {
                // The whole text goes to whoever asked: it may repeat somebody's number.
                for problem in problems.iter() {
                    error!(
                        "reload refused: {}; xixin check tells what is wrong, or xixin doctor",
                        problem.place()
                    );
                }
                let list: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Answer::refused(
                    format!("配置有{}处问题,旧规则继续有效", list.len()),
                    format!("{} problems; the old rules stay in force", list.len()),
                    json!({ "problems": list }),
                )
            }
        };
        notify::ready(&self.status_line());
        answer
    }

    /// One line for the service manager.
    pub(super) fn status_line(&self) -> String {
        let rules = self.engine.live.get();
        let http = self.http.get().map(|address| format!(", http {address}"));
        format!(
            "rules {} (generation {}){}",
            &rules.fingerprint[..12],
            rules.generation,
            http.unwrap_or_default()
        )
    }

    /// Everything about this daemon, for people and programs.
    pub(super) async fn status(&self) -> Result<Value, StoreError> {
        let mut all = json!(status(&self.engine).await?);
        all["version"] = json!(env!("CARGO_PKG_VERSION"));
        all["config"] = json!(self.place.config);
        all["http"] = json!(self.http.get());
        all["inbound"] = json!(self.inbound.get());
        all["api"] = json!(self.api.get());
        all["hanging"] = json!(
            self.pulse
                .get()
                .map(|pulse| pulse.stale(Instant::now()))
                .unwrap_or_default()
        );
        Ok(all)
    }

    /// The state for the log: without the words that people wrote.
    pub(super) async fn dump(&self) {
        match self.status().await {
            Ok(mut all) => {
                let paused = all["paused"].as_array().into_iter().flatten();
                all["paused"] = paused.map(|switch| switch["name"].clone()).collect();
                let waits = all["waits"].as_array().into_iter().flatten();
                all["waits"] = waits.map(|wait| wait["id"].clone()).collect();
                info!(state = %all, "the state of this daemon");
            }
            Err(error) => error!(error = %crate::telemetry::chain(&error), "the state cannot be read"),
        }
    }

    pub(super) async fn answer(&self, request: Request) -> Answer {
        let done = match request {
            Request::Poke { case } => {
                tracing::debug!(case.id = case, "woken");
                self.engine.ring_everywhere();
                return Answer::ok("已唤醒", "woken", json!({}));
            }
            Request::Reload => return self.reload_and_tell().await,
            Request::Status => match self.status().await {
                Ok(status) => return Answer::ok("运行中", "running", status),
                Err(error) => Err(error),
            },
            Request::SendTest { way, to } => match send_test(&self.engine, way, &to).await {
                Ok(Tested { sent: true, said }) => return Answer::ok(said.zh, said.en, json!({})),
                Ok(Tested { sent: false, said }) => return Answer::refused(said.zh, said.en, json!({})),
                Err(error) => Err(error),
            },
            Request::Pause { channel, reason, who } => match (switch(channel.as_deref()), text(&reason), text(&who)) {
                (Some(name), Some(reason), Some(who)) => self.pause(name, &reason, &who).await,
                _ => return malformed(),
            },
            Request::Resume { channel, who } => match (switch(channel.as_deref()), text(&who)) {
                (Some(name), Some(who)) => self.resume(name, &who).await,
                _ => return malformed(),
            },
            Request::Hold { reason, who } => match (text(&reason), text(&who)) {
                (Some(reason), Some(who)) => self.hold(&reason, &who).await,
                _ => return malformed(),
            },
            Request::Release { id: None, who, .. } => match text(&who) {
                Some(who) => self.release(&who).await,
                None => return malformed(),
            },
            Request::Release {
                id: Some(id),
                reason,
                who,
            } => match (reason.as_deref().and_then(text), text(&who)) {
                (Some(reason), Some(who)) => match self.release_one(&id, &reason, &who).await {
                    Ok(answer) => return answer,
                    Err(error) => Err(error),
                },
                _ => return malformed(),
            },
            Request::Nodes => match nodes::list(&self.engine).await {
                Ok(nodes) => {
                    let (zh, en) = match nodes.as_slice() {
                        [] => (
                            "数据库是本机文件,只有这一个服务".to_owned(),
                            "the database is a file: this is the only daemon".to_owned(),
                        ),
                        nodes => (format!("共{}个节点", nodes.len()), format!("{} nodes", nodes.len())),
                    };
                    return Answer::ok(zh, en, json!({ "nodes": nodes }));
                }
                Err(error) => Err(error),
            },
            Request::Holds => match self.holds().await {
                Ok(answer) => return answer,
                Err(error) => Err(error),
            },
        };
        match done {
            Ok(said) => {
                self.engine.look_around().await;
                self.engine.ring_everywhere();
                Answer::ok(said.zh, said.en, json!({}))
            }
            Err(error) => {
                self.engine.note_store_error(&error).await;
                Answer::refused("数据库出错", crate::telemetry::chain(&error), json!({}))
            }
        }
    }

    async fn pause(&self, name: &str, reason: &str, who: &str) -> Result<Said, StoreError> {
        let store = &self.engine.store;
        if let Some(before) = store.switches().await?.into_iter().find(|switch| switch.name == name) {
            return Ok(Said::new(
                format!("{name} 先前已由{}暂停: {}", before.who, before.reason),
                format!("{name} was paused already by {}: {}", before.who, before.reason),
            ));
        }
        store.pause(name, self.engine.clock.now(), who, reason).await?;
        tracing::warn!("sending is paused: {name}");
        Ok(Said::new(format!("已暂停 {name}"), format!("paused {name}")))
    }

    async fn hold(&self, reason: &str, who: &str) -> Result<Said, StoreError> {
        let new = self.engine.store.hold(self.engine.clock.now(), who, reason).await?;
        tracing::warn!("sending is on hold until somebody releases it");
        Ok(if new {
            Said::new(
                "已扣留全部发送,须有人放行",
                "everything is held until somebody releases it",
            )
        } else {
            Said::new("先前已扣留", "it was held already")
        })
    }

    async fn release(&self, who: &str) -> Result<Said, StoreError> {
        let store = &self.engine.store;
        let was = store.release(self.engine.clock.now(), who).await?;
        let suspects = store.release_suspects().await?;
        let mut said = if was {
            info!(who, "the hold is released");
            Said::new("已放行", "released")
        } else {
            Said::new("本来没有扣留", "nothing was held")
        };
        if suspects > 0 {
            info!(
                who,
                suspects, "{suspects} reminders that runs died over are tried again"
            );
            said = said.and(&Said::new(
                format!("{suspects}条曾使程序中断的提醒将单独再试"),
                format!("{suspects} reminders that the program died over are tried again, one at a time"),
            ));
        }
        self.still_stopped(said).await
    }

    async fn resume(&self, name: &str, who: &str) -> Result<Said, StoreError> {
        let store = &self.engine.store;
        let was = store.resume(name).await?;
        let said = if was {
            info!(who, "sending goes on: {name}");
            Said::new(format!("已恢复 {name}"), format!("resumed {name}"))
        } else {
            Said::new(format!("{name} 本来没有暂停"), format!("{name} was not paused"))
        };
        self.still_stopped(said).await
    }

    /// Adds what else keeps messages from leaving.
    async fn still_stopped(&self, mut said: Said) -> Result<Said, StoreError> {
        let switches = self.engine.store.switches().await?;
        let left: Vec<String> = switches.into_iter().map(|switch| switch.name).collect();
        if !left.is_empty() {
            let left = left.join(", ");
            said = said.and(&Said::new(format!("仍暂停: {left}"), format!("still paused: {left}")));
        }
        Ok(said)
    }
}

fn switch(channel: Option<&str>) -> Option<&'static str> {
    match channel {
        None | Some(ALL) => Some(ALL),
        Some("email") => Some("email"),
        Some("sms") => Some("sms"),
        Some(_) => None,
    }
}

/// A text that people will read in one line.
fn text(raw: &str) -> Option<String> {
    let text: String = raw.split_whitespace().collect::<Vec<_>>().join(" ");
    let fits = !text.is_empty() && text.chars().count() <= TEXT_MAX && !text.chars().any(char::is_control);
    fits.then_some(text)
}

fn malformed() -> Answer {
    Answer::refused(
        format!("渠道只能是 email 或 sms;理由和姓名须为1到{TEXT_MAX}个字"),
        format!("the channel must be email or sms, the reason and the name 1 to {TEXT_MAX} letters"),
        json!({}),
    )
}
