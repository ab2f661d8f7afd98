package steps

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionalpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"faultbox/runtime"
)

// schema is what is known of a server's services.
type schema struct {
	files *protoregistry.Files
	types *dynamicpb.Types
}

func newSchema(set *descriptorpb.FileDescriptorSet) (*schema, error) {
	files, err := protodesc.FileOptions{AllowUnresolvable: true}.NewFiles(set)
	if err != nil {
		return nil, err
	}
	return &schema{files, dynamicpb.NewTypes(files)}, nil
}

// describe returns a schema that has the service, from the interface's
// descriptors if there are any, else from the server.
func (s *grpcSession) describe(ctx context.Context, service string) (*schema, error) {
	if s.schema != nil {
		if _, err := s.schema.files.FindDescriptorByName(protoreflect.FullName(service)); err == nil || s.e.Interface.Descriptors != nil {
			return s.schema, nil
		}
	}
	var set *descriptorpb.FileDescriptorSet
	var err error
	if s.e.Interface.Descriptors != nil {
		set, err = readDescriptors(s.e)
	} else {
		set, err = s.reflect(ctx, service)
	}
	if err != nil {
		return nil, err
	}
	sc, err := newSchema(set)
	if err != nil {
		return nil, misused("read the descriptors of %s: %v", service, err)
	}
	s.schema = sc
	return sc, nil
}

// readDescriptors reads the interface's files: each is a FileDescriptorSet, as
// protoc writes it with --descriptor_set_out and --include_imports.
func readDescriptors(e runtime.Endpoint) (*descriptorpb.FileDescriptorSet, error) {
	all := &descriptorpb.FileDescriptorSet{}
	seen := map[string]bool{}
	for _, name := range e.Interface.Descriptors {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, misused("read descriptors: %v", err)
		}
		var set descriptorpb.FileDescriptorSet
		if err := proto.Unmarshal(b, &set); err != nil {
			return nil, misused("read descriptors: %s is no descriptor set (protoc --include_imports --descriptor_set_out=…): %v", name, err)
		}
		for _, f := range set.File {
			if !seen[f.GetName()] {
				seen[f.GetName()] = true
				all.File = append(all.File, f)
			}
		}
	}
	return all, nil
}

// asker sends a question of server reflection and returns the answer. Both
// versions have the same messages.
type asker func(*reflectionpb.ServerReflectionRequest) (*reflectionpb.ServerReflectionResponse, error)

// reflect asks the server for the service and all that it builds on.
func (s *grpcSession) reflect(ctx context.Context, service string) (*descriptorpb.FileDescriptorSet, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var unknown error
	for _, name := range []string{reflectionpb.ServerReflection_ServerReflectionInfo_FullMethodName, reflectionalpha.ServerReflection_ServerReflectionInfo_FullMethodName} {
		stream, err := s.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, name)
		if err != nil {
			return nil, err
		}
		set, err := collect(service, func(q *reflectionpb.ServerReflectionRequest) (*reflectionpb.ServerReflectionResponse, error) {
			a := new(reflectionpb.ServerReflectionResponse)
			stream.SendMsg(q) // the answer says why it failed
			return a, stream.RecvMsg(a)
		})
		if stream.CloseSend(); err == nil {
			stream.RecvMsg(new(reflectionpb.ServerReflectionResponse)) // its end
		}
		if status.Code(err) != codes.Unimplemented {
			return set, err
		}
		unknown = err
	}
	return nil, misused("call %s: the server has no reflection (%s): give the interface descriptors=", service, status.Convert(unknown).Message())
}

// collect asks for the file of a service and for the files that it imports.
func collect(service string, ask asker) (*descriptorpb.FileDescriptorSet, error) {
	set := &descriptorpb.FileDescriptorSet{}
	have, wanted := map[string]bool{}, []string{""}
	for len(wanted) > 0 {
		name := wanted[0]
		wanted = wanted[1:]
		if have[name] {
			continue
		}
		q := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: service}}
		if name != "" {
			q.MessageRequest = &reflectionpb.ServerReflectionRequest_FileByFilename{FileByFilename: name}
		}
		a, err := ask(q)
		if err != nil {
			return nil, err
		}
		if e := a.GetErrorResponse(); e != nil {
			if name == "" && codes.Code(e.ErrorCode) == codes.NotFound {
				return nil, misused("call %s: the server has no such service", service)
			}
			return nil, misused("call %s: the server does not tell what it looks like: %s", service, e.ErrorMessage)
		}
		have[name] = true
		for _, b := range a.GetFileDescriptorResponse().GetFileDescriptorProto() {
			f := new(descriptorpb.FileDescriptorProto)
			if err := proto.Unmarshal(b, f); err != nil {
				return nil, misused("call %s: the server's descriptors make no sense: %v", service, err)
			}
			if !slices.ContainsFunc(set.File, func(o *descriptorpb.FileDescriptorProto) bool { return o.GetName() == f.GetName() }) {
				set.File = append(set.File, f)
				have[f.GetName()] = true
				wanted = append(wanted, f.Dependency...)
			}
		}
	}
	return set, nil
}

// method finds a method of a service.
func (s *schema) method(service, method string) (protoreflect.MethodDescriptor, error) {
	d, _ := s.files.FindDescriptorByName(protoreflect.FullName(service))
	sd, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil, misused("call %s: the descriptors have no such service", service)
	}
	if m := sd.Methods().ByName(protoreflect.Name(method)); m != nil {
		return m, nil
	}
	var names []string
	for i := range sd.Methods().Len() {
		names = append(names, string(sd.Methods().Get(i).Name()))
	}
	return nil, misused("call %s: it has no method %s (there are %s)", service, method, strings.Join(names, ", "))
}

// requests turns body= into the messages to send.
func (s *schema) requests(m protoreflect.MethodDescriptor, body any) (messages []proto.Message, err error) {
	bodies := []any{body}
	if list, ok := body.([]any); ok {
		if bodies = list; !m.IsStreamingClient() {
			return nil, misused("call %s: it takes one message, not a list", m.FullName())
		}
	}
	for _, b := range bodies {
		encoded, isText := b.(string)
		switch {
		case b == nil:
			encoded = "{}"
		case !isText:
			if encoded, err = encodeJSON(b); err != nil {
				return nil, err
			}
		}
		message := dynamicpb.NewMessage(m.Input())
		if err := (protojson.UnmarshalOptions{Resolver: s.types}).Unmarshal([]byte(encoded), message); err != nil {
			return nil, misused("call %s: body is no %s: %v", m.FullName(), m.Input().FullName(), err)
		}
		messages = append(messages, message)
	}
	return messages, nil
}

// joinJSON writes the messages of an answer as JSON: a list if it is a stream.
func joinJSON(messages []*dynamicpb.Message, list bool) (string, error) {
	var b bytes.Buffer
	if list {
		b.WriteByte('[')
	}
	for i, m := range messages {
		if i > 0 {
			b.WriteByte(',')
		}
		one, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
		if err != nil {
			return "", fmt.Errorf("write the answer as JSON: %w", err)
		}
		if err := json.Compact(&b, one); err != nil { // it has blanks at random
			return "", err
		}
	}
	if list {
		b.WriteByte(']')
	}
	return b.String(), nil
}
