// Package kafka follows the Kafka protocol: requests and answers with a size in
// front, matched by correlation id and answered in order. The messages' schemas
// are those of package kmsg; record batches are read and written here.
//
// # What an event is
//
// A message is an event: each record of a Produce request, and each record that
// an answer to a Fetch request delivers (a Fetch that brings nothing is no
// event). Its Op is Produce or Fetch, its Key the topic, and it has the
// attributes "record_key" and "partition". Every other request is one
// event with its API's name as Op and, where it has one, the attribute "group".
//
// topic= is about messages alone. An error on a topic's Metadata is written
// with method="Metadata".
//
// # What a fault does
//
//   - A drop of produced messages acknowledges them with the offset that would
//     have come next and leaves them out of the batch. Sequence numbers of
//     idempotent and transactional producers are closed up for the batches that
//     follow, on this connection or another, so that the broker sees no gap. What
//     such a producer sends again because it did not hear of it is treated as
//     the first time, for the broker may have it: a fault that wants otherwise
//     comes to nothing.
//   - A duplicate puts a second copy behind the message, in the same batch, with
//     a sequence number of its own.
//   - A drop of fetched messages leaves the batch's offsets as they are, as log
//     compaction does, so that the consumer moves on.
//   - An error on a message is an error of its whole partition in that request:
//     the broker, too, takes a batch or refuses it.
//   - A drop of anything else closes the connection.
//
// What else a request holds goes on, and the answers are merged. Fetches by
// other brokers (replication) and control batches are no messages.
//
// # Bounds
//
// A message of up to Window bytes is looked at whole; a longer one passes in
// pieces and no fault applies to its records. Of one message at most maxBody
// bytes are decompressed; a batch that needs more, or cannot be read, counts as
// one message without a key.
//
// Sources: the Kafka protocol guide; KIP-98 (batches, sequence numbers),
// KIP-227 (fetch sessions), KIP-482 (flexible versions), KIP-516 (topic ids).
package kafka
