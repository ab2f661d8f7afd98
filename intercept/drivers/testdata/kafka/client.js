// kafkajs: client.js work ADDRESS TOPIC | produce ADDRESS TOPIC COUNT SIZE | consume ADDRESS TOPIC COUNT | pipeline ADDRESS TOPIC COUNT
const { Kafka, CompressionTypes, logLevel } = require('kafkajs')
const [mode, address, topic, count, size] = process.argv.slice(2)
const kafka = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING, retry: { retries: 1, initialRetryTime: 20 } })

// for connections that break, and for the first coordinator of a cluster, which takes time to come up
const patient = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING, retry: { retries: 10, initialRetryTime: 20 } })

async function send(messages, acks, compression) {
  const p = kafka.producer({ allowAutoTopicCreation: false })
  await p.connect()
  const out = await p.send({ topic, acks, compression, messages })
  await p.disconnect()
  return out
}

async function consume(count) {
  const c = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING }).consumer({ groupId: 'g-' + topic, maxWaitTimeInMs: 100 })
  await c.connect()
  await c.subscribe({ topic, fromBeginning: true })
  const got = []
  await new Promise((resolve) => {
    setTimeout(resolve, 20000).unref()
    c.run({ autoCommitThreshold: 1, eachMessage: async ({ partition, message: m }) => {
      got.push(`${partition}:${m.offset} ${m.key}=${m.value}`)
      if (got.length == count) resolve()
    } })
  })
  await c.disconnect()
  got.sort().forEach(g => console.log(g))
}

async function main() {
  if (mode == 'produce') {
    for (let i = 0; i < +count; i++) {
      try {
        const out = await send([{ partition: 0, key: 'k' + i, value: 'v'.repeat(size - 1) + i }], -1)
        console.log('sent', out[0].baseOffset)
      } catch (e) { console.log('failed', e.type || e.name, e.code || '') }
    }
    return
  }
  if (mode == 'consume') return consume(+count)
  if (mode == 'pipeline') {
    const p = patient.producer({ idempotent: true, maxInFlightRequests: 1 })
    await p.connect()
    for (let i = 0; i < +count; i += 20) {
      const messages = [...Array(20).keys()].map(k => ({ partition: k % 2, key: 'k' + (i + k), value: 'v' + (i + k) }))
      await p.send({ topic, acks: -1, compression: CompressionTypes.GZIP, messages })
    }
    await p.disconnect()
    return console.log('all sent')
  }
  for (const [acks, codec] of [[-1, CompressionTypes.None], [-1, CompressionTypes.GZIP], [1, CompressionTypes.None], [0, CompressionTypes.GZIP]]) {
    const messages = [0, 1, 2, 3].map(i => ({ partition: i % 2, key: 'k' + i, value: `${acks} ${codec} ${i}`, headers: { h: 'x' } }))
    console.log(JSON.stringify((await send(messages, acks, codec)).sort((a, b) => a.partition - b.partition)))
  }
  const p = patient.producer({ transactionalId: 'tx-' + topic, idempotent: true, maxInFlightRequests: 1 })
  await p.connect()
  for (const end of ['commit', 'abort']) {
    const tx = await p.transaction()
    await tx.send({ topic, messages: [{ partition: 1, key: 'tx', value: end }] })
    await tx[end]()
  }
  await p.disconnect()
  await consume(17)
  const admin = kafka.admin()
  await admin.connect()
  for (const t of await admin.fetchOffsets({ groupId: 'g-' + topic, topics: [topic] })) console.log(JSON.stringify(t.partitions))
  await admin.disconnect()
}
main().then(() => process.exit(0), (e) => { console.log('failed', e.type || e.name, e.message); process.exit(0) })
