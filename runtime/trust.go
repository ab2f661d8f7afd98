package runtime

// trusting returns svc with the run's CA among those that it is to trust, if the
// tests fault an edge of it that uses TLS; else svc itself.
func (s *stage) trusting(tests []*Test, svc *Service) *Service {
	if len(s.runner.CA) == 0 || !s.speaksTLS(tests, svc) {
		return svc
	}
	told := *svc
	told.CA = s.runner.CA
	return &told
}

func (s *stage) speaksTLS(tests []*Test, svc *Service) bool {
	for _, to := range s.runner.Spec.Services {
		for _, itf := range to.Interfaces {
			if itf.TLS && to != svc && edgeNamed(tests, svc.Name, to.Name, itf.Name) {
				return true
			}
		}
	}
	return false
}
