package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

func (a *api) createUser(w http.ResponseWriter, r *http.Request) {
	var user struct{ Name string }
	if err := json.NewDecoder(r.Body).Decode(&user); err != nil || user.Name == "" {
		fail(w, http.StatusBadRequest, errors.New("a user is an object with a name"))
		return
	}
	id, err := a.db.createUser(r.Context(), user.Name)
	if err == nil {
		err = a.mirror.createUser(r.Context(), id, user.Name)
	}
	if err != nil {
		fail(w, http.StatusInternalServerError, fmt.Errorf("create user: %w", err))
		return
	}
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(map[string]int{"id": id})
}

func (a *api) getUser(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		fail(w, http.StatusBadRequest, errors.New("the id of a user is a number"))
		return
	}
	name, err := a.db.user(r.Context(), id)
	switch {
	case errors.Is(err, errNone):
		fail(w, http.StatusNotFound, fmt.Errorf("get user %d: %w", id, err))
	case err != nil:
		fail(w, http.StatusInternalServerError, fmt.Errorf("get user %d: %w", id, err))
	default:
		json.NewEncoder(w).Encode(map[string]string{"name": name})
	}
}
