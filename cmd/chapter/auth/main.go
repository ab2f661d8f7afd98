// Command auth is the gRPC service of the published chapter:
// /auth.AuthService/Authenticate takes a user's name and gives a token.
package main

import (
	"context"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := net.Listen("tcp", ":9090")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	server.RegisterService(&service, nil)
	context.AfterFunc(ctx, server.Stop)
	log.Print("listening on :9090")
	if err := server.Serve(l); err != nil {
		log.Fatal(err)
	}
}

// service is auth.AuthService. Its messages are a well-known type, so that no
// code has to be generated.
var service = grpc.ServiceDesc{
	ServiceName: "auth.AuthService",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Authenticate", Handler: authenticate}},
}

func authenticate(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	user := new(wrapperspb.StringValue)
	if err := decode(user); err != nil {
		return nil, err
	}
	if user.Value == "" {
		return nil, status.Error(codes.Unauthenticated, "who are you?")
	}
	return wrapperspb.String("token of " + user.Value), nil
}
