package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// loginLimit bounds how long a login may take.
const loginLimit = 10 * time.Second

var openAuth = sync.OnceValues(func() (*grpc.ClientConn, error) {
	return grpc.NewClient("auth:9090", grpc.WithTransportCredentials(insecure.NewCredentials()))
})

func (a *api) login(w http.ResponseWriter, r *http.Request) {
	var login struct{ User string }
	if err := json.NewDecoder(r.Body).Decode(&login); err != nil || login.User == "" {
		fail(w, http.StatusBadRequest, errors.New("a login is an object with a user"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), loginLimit)
	defer cancel()
	token := new(wrapperspb.StringValue)
	conn, err := openAuth()
	if err == nil {
		err = conn.Invoke(ctx, "/auth.AuthService/Authenticate", wrapperspb.String(login.User), token)
	}
	switch {
	case status.Code(err) == codes.Unauthenticated:
		fail(w, http.StatusUnauthorized, fmt.Errorf("log in: %w", err))
	case err != nil:
		fail(w, http.StatusServiceUnavailable, fmt.Errorf("log in: %w", err))
	default:
		json.NewEncoder(w).Encode(map[string]string{"token": token.Value})
	}
}
