//! How many outcomes go into one commit. A commit costs about the same for one outcome as for a hundred, and in a rush it would carry
//! those few that came during the one before.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// Outcomes in one commit at the most.
pub(crate) const GATHER: usize = 512;
/// So many at once are a rush.
const RUSH: usize = 8;
/// So long a rush is waited for; a crash leaves no more in doubt than it would have with a disk as slow as that.
const WAIT: Duration = Duration::from_millis(20);

/// Fills `gathered` with what there is, and in a rush with what comes in the next moment; `waits` says what may not be kept waiting.
/// False when nothing can come any more.
pub(crate) async fn gather<T>(receiver: &mut Receiver<T>, gathered: &mut Vec<T>, urgent: impl Fn(&T) -> bool) -> bool {
    if receiver.recv_many(gathered, GATHER).await == 0 {
        return false;
    }
    if gathered.len() < RUSH {
        return true;
    }
    let mut looked_at = 0;
    let more = async {
        while gathered.len() < GATHER && !gathered[looked_at..].iter().any(&urgent) {
            looked_at = gathered.len();
            let room = GATHER - looked_at;
            if receiver.recv_many(gathered, room).await == 0 {
                break;
            }
        }
    };
    // The time being over is how it usually ends; nothing is lost by it.
    let _ = timeout(WAIT, more).await;
    true
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;
    use tokio::time::Instant;

    use super::*;

    const URGENT: usize = 9_999;

    async fn groups(script: &[(u64, usize)]) -> Vec<(usize, u128)> {
        let (sender, mut receiver) = channel(2 * GATHER);
        let script = script.to_vec();
        let start = Instant::now();
        tokio::spawn(async move {
            for (at_ms, item) in script {
                tokio::time::sleep_until(start + Duration::from_millis(at_ms)).await;
                sender.send(item).await.unwrap();
            }
        });
        let (mut found, mut gathered) = (Vec::new(), Vec::new());
        tokio::time::sleep_until(start + Duration::from_millis(1)).await;
        while gather(&mut receiver, &mut gathered, |item| *item == URGENT).await {
            found.push((gathered.drain(..).count(), start.elapsed().as_millis()));
        }
        found
    }

    #[tokio::test(start_paused = true)]
    async fn few_are_written_at_once() {
        assert_eq!(groups(&[(0, 1), (0, 2), (5, 3)]).await, [(2, 1), (1, 5)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rush_is_gathered_for_a_moment() {
        let rush: Vec<(u64, usize)> = (0..10).map(|n| (0, n)).chain([(10, 10), (15, 11), (40, 12)]).collect();
        assert_eq!(groups(&rush).await, [(12, 21), (1, 40)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rush_ends_with_what_is_urgent() {
        let rush: Vec<(u64, usize)> = (0..10).map(|n| (0, n)).chain([(10, URGENT), (15, 11)]).collect();
        assert_eq!(groups(&rush).await, [(11, 10), (1, 15)]);
        let rush: Vec<(u64, usize)> = (0..10).map(|n| (0, n)).chain([(0, URGENT)]).collect();
        assert_eq!(groups(&rush).await, [(11, 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_carries_no_more_than_it_may() {
        let rush: Vec<(u64, usize)> = (0..700).map(|n| (0, n)).collect();
        let found = groups(&rush).await;
        assert_eq!(found[0], (GATHER, 1));
        assert_eq!(found.iter().map(|(count, _)| count).sum::<usize>(), 700);
    }
}
