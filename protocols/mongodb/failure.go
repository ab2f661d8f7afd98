package mongodb

import (
	"strconv"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"faultbox/protocols"
)

// failure is the document that tells the client of x of an error.
func (x *exchange) failure(r *protocols.Reply) []byte {
	code := number32(r.Code)
	at, doc := bsoncore.AppendDocumentStart(nil)
	switch {
	case x.op != "" && perDocument[code]:
		doc = x.writeErrors(doc, r)
	case x.op != "" && concerns[code]:
		doc = x.counts(doc)
		doc = writeConcernError(doc, r)
	default:
		doc = bsoncore.AppendDoubleElement(doc, "ok", 0)
		doc = bsoncore.AppendStringElement(doc, "errmsg", r.Message)
		doc = bsoncore.AppendInt32Element(doc, "code", code)
		doc = bsoncore.AppendStringElement(doc, "codeName", codeName(code))
		doc = x.labels(doc, code)
		doc, _ = bsoncore.AppendDocumentEnd(doc, at)
		return doc
	}
	doc = bsoncore.AppendDoubleElement(doc, "ok", 1)
	doc, _ = bsoncore.AppendDocumentEnd(doc, at)
	return doc
}

// counts appends what a write that changed nothing says of that.
func (x *exchange) counts(doc []byte) []byte {
	doc = bsoncore.AppendInt32Element(doc, "n", 0)
	if x.op == "update" {
		doc = bsoncore.AppendInt32Element(doc, "nModified", 0)
	}
	return doc
}

// writeErrors appends the result of a write whose first document failed, or
// each of them where they are unordered.
func (x *exchange) writeErrors(doc []byte, r *protocols.Reply) []byte {
	doc = x.counts(doc)
	list, doc := bsoncore.AppendArrayElementStart(doc, "writeErrors")
	for i := range x.failing {
		one, d := bsoncore.AppendDocumentElementStart(doc, strconv.Itoa(i))
		d = bsoncore.AppendInt32Element(d, "index", int32(i))
		d = bsoncore.AppendInt32Element(d, "code", number32(r.Code))
		d = bsoncore.AppendStringElement(d, "errmsg", r.Message)
		doc, _ = bsoncore.AppendDocumentEnd(d, one)
	}
	doc, _ = bsoncore.AppendArrayEnd(doc, list)
	return doc
}

// labels appends the errorLabels with which a server marks that code.
func (x *exchange) labels(doc []byte, code int32) []byte {
	var labels []string
	if code == 112 || x.within && (transient[code] || repeatable[code] && !x.ends) {
		labels = append(labels, "TransientTransactionError")
	}
	if repeatable[code] && (x.retryable || x.ends) {
		labels = append(labels, "RetryableWriteError")
	}
	if labels == nil {
		return doc
	}
	list, doc := bsoncore.AppendArrayElementStart(doc, "errorLabels")
	for i, l := range labels {
		doc = bsoncore.AppendStringElement(doc, strconv.Itoa(i), l)
	}
	doc, _ = bsoncore.AppendArrayEnd(doc, list)
	return doc
}

func writeConcernError(doc []byte, r *protocols.Reply) []byte {
	code := number32(r.Code)
	at, doc := bsoncore.AppendDocumentElementStart(doc, "writeConcernError")
	doc = bsoncore.AppendInt32Element(doc, "code", code)
	doc = bsoncore.AppendStringElement(doc, "codeName", codeName(code))
	doc = bsoncore.AppendStringElement(doc, "errmsg", r.Message)
	if code == 64 {
		info, d := bsoncore.AppendDocumentElementStart(doc, "errInfo")
		d = bsoncore.AppendBooleanElement(d, "wtimeout", true)
		doc, _ = bsoncore.AppendDocumentEnd(d, info)
	}
	doc, _ = bsoncore.AppendDocumentEnd(doc, at)
	return doc
}

// withConcern returns the server's answer to a write with an error about its
// write concern added.
func withConcern(answer []byte, r *protocols.Reply) []byte {
	at, doc := bsoncore.AppendDocumentStart(nil)
	elements(answer, func(_ int, key, e []byte) {
		if string(key) != "writeConcernError" {
			doc = append(doc, e...)
		}
	})
	doc = writeConcernError(doc, r)
	doc, _ = bsoncore.AppendDocumentEnd(doc, at)
	return doc
}
