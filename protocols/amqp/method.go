package amqp

import "encoding/binary"

// method is a class and a method of it: class<<16 | method.
type method uint32

const (
	connectionStart    = method(10<<16 | 10)
	connectionStartOk  = method(10<<16 | 11)
	connectionSecure   = method(10<<16 | 20)
	connectionSecureOk = method(10<<16 | 21)
	connectionTune     = method(10<<16 | 30)
	connectionOpen     = method(10<<16 | 40)
	connectionOpenOk   = method(10<<16 | 41)
	connectionClose    = method(10<<16 | 50)
	connectionSecret   = method(10<<16 | 70)
	connectionSecretOk = method(10<<16 | 71)
	channelOpen        = method(20<<16 | 10)
	channelOpenOk      = method(20<<16 | 11)
	channelFlow        = method(20<<16 | 20)
	channelFlowOk      = method(20<<16 | 21)
	channelClose       = method(20<<16 | 40)
	channelCloseOk     = method(20<<16 | 41)
	exchangeDeclare    = method(40<<16 | 10)
	exchangeDeclareOk  = method(40<<16 | 11)
	exchangeDelete     = method(40<<16 | 20)
	exchangeDeleteOk   = method(40<<16 | 21)
	exchangeBind       = method(40<<16 | 30)
	exchangeBindOk     = method(40<<16 | 31)
	exchangeUnbind     = method(40<<16 | 40)
	exchangeUnbindOk   = method(40<<16 | 51)
	queueDeclare       = method(50<<16 | 10)
	queueDeclareOk     = method(50<<16 | 11)
	queueBind          = method(50<<16 | 20)
	queueBindOk        = method(50<<16 | 21)
	queuePurge         = method(50<<16 | 30)
	queuePurgeOk       = method(50<<16 | 31)
	queueDelete        = method(50<<16 | 40)
	queueDeleteOk      = method(50<<16 | 41)
	queueUnbind        = method(50<<16 | 50)
	queueUnbindOk      = method(50<<16 | 51)
	basicQos           = method(60<<16 | 10)
	basicQosOk         = method(60<<16 | 11)
	basicConsume       = method(60<<16 | 20)
	basicConsumeOk     = method(60<<16 | 21)
	basicCancel        = method(60<<16 | 30)
	basicCancelOk      = method(60<<16 | 31)
	basicPublish       = method(60<<16 | 40)
	basicReturn        = method(60<<16 | 50)
	basicDeliver       = method(60<<16 | 60)
	basicGet           = method(60<<16 | 70)
	basicGetOk         = method(60<<16 | 71)
	basicGetEmpty      = method(60<<16 | 72)
	basicAck           = method(60<<16 | 80)
	basicReject        = method(60<<16 | 90)
	basicRecoverAsync  = method(60<<16 | 100)
	basicRecover       = method(60<<16 | 110)
	basicRecoverOk     = method(60<<16 | 111)
	basicNack          = method(60<<16 | 120)
	confirmSelect      = method(85<<16 | 10)
	confirmSelectOk    = method(85<<16 | 11)
	txSelect           = method(90<<16 | 10)
	txSelectOk         = method(90<<16 | 11)
	txCommit           = method(90<<16 | 20)
	txCommitOk         = method(90<<16 | 21)
	txRollback         = method(90<<16 | 30)
	txRollbackOk       = method(90<<16 | 31)
)

// kind is what the codec knows about a method that a client calls.
type kind struct {
	name   string
	reply  method // 0: none comes
	twice  bool   // it can be done twice
	key    int    // which short string of its arguments it is about, from 1; 0: none
	skip   int    // bytes in front of the strings
	noWait int    // the bit that says that no reply is wanted, from 1; 0: there is none
	bits   int    // behind which short string the bits are
}

// calls are the methods of clients that rules match on.
var calls = map[method]kind{
	connectionStartOk:  {name: "connection.start-ok", reply: connectionTune},
	connectionSecureOk: {name: "connection.secure-ok", reply: connectionTune},
	connectionOpen:     {name: "connection.open", reply: connectionOpenOk, key: 1},
	connectionSecret:   {name: "connection.update-secret", reply: connectionSecretOk},
	channelOpen:        {name: "channel.open", reply: channelOpenOk},
	channelFlow:        {name: "channel.flow", reply: channelFlowOk, twice: true},
	exchangeDeclare:    {name: "exchange.declare", reply: exchangeDeclareOk, twice: true, key: 1, skip: 2, noWait: 5, bits: 2},
	exchangeDelete:     {name: "exchange.delete", reply: exchangeDeleteOk, twice: true, key: 1, skip: 2, noWait: 2, bits: 1},
	exchangeBind:       {name: "exchange.bind", reply: exchangeBindOk, twice: true, key: 1, skip: 2, noWait: 1, bits: 3},
	exchangeUnbind:     {name: "exchange.unbind", reply: exchangeUnbindOk, twice: true, key: 1, skip: 2, noWait: 1, bits: 3},
	queueDeclare:       {name: "queue.declare", reply: queueDeclareOk, twice: true, key: 1, skip: 2, noWait: 5, bits: 1},
	queueBind:          {name: "queue.bind", reply: queueBindOk, twice: true, key: 1, skip: 2, noWait: 1, bits: 3},
	queueUnbind:        {name: "queue.unbind", reply: queueUnbindOk, twice: true, key: 1, skip: 2},
	queuePurge:         {name: "queue.purge", reply: queuePurgeOk, twice: true, key: 1, skip: 2, noWait: 1, bits: 1},
	queueDelete:        {name: "queue.delete", reply: queueDeleteOk, twice: true, key: 1, skip: 2, noWait: 3, bits: 1},
	basicQos:           {name: "basic.qos", reply: basicQosOk, twice: true},
	basicConsume:       {name: "basic.consume", reply: basicConsumeOk, key: 1, skip: 2, noWait: 4, bits: 2},
	basicCancel:        {name: "basic.cancel", reply: basicCancelOk, twice: true, noWait: 1, bits: 1},
	basicGet:           {name: "basic.get", reply: basicGetOk, key: 1, skip: 2},
	basicAck:           {name: "basic.ack", twice: true},
	basicReject:        {name: "basic.reject", twice: true},
	basicNack:          {name: "basic.nack", twice: true},
	basicRecoverAsync:  {name: "basic.recover-async", twice: true},
	basicRecover:       {name: "basic.recover", reply: basicRecoverOk, twice: true},
	confirmSelect:      {name: "confirm.select", reply: confirmSelectOk, twice: true, noWait: 1, bits: 0},
	txSelect:           {name: "tx.select", reply: txSelectOk, twice: true},
	txCommit:           {name: "tx.commit", reply: txCommitOk, twice: true},
	txRollback:         {name: "tx.rollback", reply: txRollbackOk, twice: true},
}

// args reads the arguments of a method. What is missing reads as zero.
type args []byte

func (a *args) take(n int) []byte {
	if len(*a) < n {
		*a = nil
		return make([]byte, n)
	}
	b := (*a)[:n]
	*a = (*a)[n:]
	return b
}

func (a *args) octet() byte   { return a.take(1)[0] }
func (a *args) short() uint16 { return binary.BigEndian.Uint16(a.take(2)) }
func (a *args) long() uint64  { return binary.BigEndian.Uint64(a.take(8)) }
func (a *args) str() []byte   { return a.take(int(a.octet())) }

// read returns what a client's method is about and whether it wants a reply.
func (k *kind) read(a args) (key []byte, wanted bool) {
	if k.key == 0 && k.noWait == 0 {
		return nil, k.reply != 0
	}
	a.take(k.skip)
	for i := 1; i <= max(k.key, k.bits); i++ {
		if s := a.str(); i == k.key {
			key = s
		}
	}
	return key, k.reply != 0 && (k.noWait == 0 || a.octet()>>(k.noWait-1)&1 == 0)
}
