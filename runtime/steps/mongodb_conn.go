package steps

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/address"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/auth"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/description"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/mnet"

	"faultbox/runtime"
)

// mongodbConn is one connection, on which the driver's own code says hello,
// logs in and performs commands. The driver's client is not used: it watches
// the server over connections of its own.
type mongodbConn struct {
	link   *link
	server description.Server
}

// mongodbConnect connects, says hello and logs in.
func mongodbConnect(ctx context.Context, e runtime.Endpoint) (*mongodbConn, error) {
	l, err := connect(ctx, e, true)
	if err != nil {
		return nil, err
	}
	c := &mongodbConn{link: l}
	stop := l.closeWith(ctx)
	defer stop()
	options := &auth.HandshakeOptions{AppName: "faultbox"}
	if user := e.Service.Getenv("MONGO_INITDB_ROOT_USERNAME"); user != "" {
		cred := &driver.Cred{Source: "admin", Username: user, Password: e.Service.Getenv("MONGO_INITDB_ROOT_PASSWORD"), PasswordSet: true}
		if options.Authenticator, err = auth.CreateAuthenticator("", cred, nil); err != nil {
			l.Close()
			return nil, err
		}
		options.DBUser = cred.Source + "." + user
	}
	handshaker := auth.Handshaker(nil, options)
	info, err := handshaker.GetHandshakeInformation(ctx, c.Address(), mnet.NewConnection(c))
	if err == nil {
		c.server = info.Description
		err = handshaker.FinishHandshake(ctx, mnet.NewConnection(c))
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return c, nil
}

// run performs a command and returns the server's answer.
func (c *mongodbConn) run(ctx context.Context, database string, command bson.D) (answer bson.D, err error) {
	doc, err := bson.Marshal(command)
	if err != nil {
		return nil, misused("encode the command as BSON: %v", err)
	}
	err = driver.Operation{
		CommandFn: func(dst []byte, _ description.SelectedServer) ([]byte, error) {
			return append(dst, doc[4:len(doc)-1]...), nil
		},
		Database:   database,
		Deployment: driver.SingleConnectionDeployment{C: mnet.NewConnection(c)},
		ProcessResponseFn: func(_ context.Context, doc bsoncore.Document, _ driver.ResponseInfo) error {
			return bson.Unmarshal(doc, &answer)
		},
	}.Execute(ctx)
	return answer, err
}

// Read reads one message.
func (c *mongodbConn) Read(context.Context) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(c.link, length[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(length[:])
	if n < 16 || n > 48_000_000 {
		return nil, fmt.Errorf("read a message of %d bytes", n)
	}
	msg := make([]byte, n)
	copy(msg, length[:])
	if _, err := io.ReadFull(c.link, msg[4:]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return msg, nil
}

// Write writes one message.
func (c *mongodbConn) Write(_ context.Context, msg []byte) error {
	_, err := c.link.Write(msg)
	return err
}

// Close does nothing: the driver closes a connection after each command, to
// hand it back to a pool. The session closes the link.
func (*mongodbConn) Close() error { return nil }

// The rest is what the driver wants to know of a connection.

func (c *mongodbConn) Description() description.Server { return c.server }
func (c *mongodbConn) Address() address.Address        { return address.Address(c.link.RemoteAddr().String()) }
func (*mongodbConn) ID() string                        { return "faultbox" }
func (*mongodbConn) ServerConnectionID() *int64        { return nil }
func (*mongodbConn) DriverConnectionID() int64         { return 0 }
func (*mongodbConn) Stale() bool                       { return false }
func (*mongodbConn) OIDCTokenGenID() uint64            { return 0 }
func (*mongodbConn) SetOIDCTokenGenID(uint64)          {}
