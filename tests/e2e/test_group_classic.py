"""The classic protocol, cooperative-sticky: dynamic and static members that are asked to go, killed, frozen past their
session, and two that run as one instance."""
import unittest

import members


class Classic(members.Members):
    def test_dynamic(self):
        self.check_dynamic("classic")

    def test_static(self):
        self.check_static("classic")

    def test_zombie(self):
        self.check_zombie("classic")

    def test_of_two_with_one_instance_the_older_ends(self):
        """The newer takes its place: it could be its restart."""
        older, newer = self.two_of_one("classic")
        self.ends_fenced(older, 30)
        self.assertIsNone(newer.process.poll(), newer.log_tail())
        self.fleet.running["a"] = newer
        self.moves_on("the older ended")
        self.finish("a")


if __name__ == "__main__":
    unittest.main()
